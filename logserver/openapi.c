// SPDX-License-Identifier: GPL-2.0
#include "openapi.h"

__asm__(".pushsection .rodata\n"
	".global openapi_start, openapi_end\n"
	"openapi_start: .incbin \"logserver/openapi.json\"\n"
	"openapi_end: .byte 0\n"
	".popsection\n");
