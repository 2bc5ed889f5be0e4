// SPDX-License-Identifier: GPL-2.0
#include "userspace/report_ended.h"

#include "userspace/core/escape.h"

void report_ended_text(const struct deaths *e, FILE *out)
{
	char id[13], name[64], text[DEATH_TEXT_SIZE];
	size_t i;

	for (i = 0; i < e->count; i++) {
		const struct death *d = &e->list[i];
		const struct model_container *c = &d->container;

		if (!death_is_ready(d))
			continue;
		death_text(d, text, sizeof(text));
		fprintf(out, "died          %-12s  %-24s %s (by the %s)\n", escape(c->id, id, sizeof(id)),
			escape(*c->runtime.name ? c->runtime.name : c->name, name, sizeof(name)), text,
			d->source == DEATH_BY_NOBODY ? "word of nobody" : death_source_name(d->source));
	}
}

void report_ended_json(const struct deaths *e, cJSON *o)
{
	cJSON *list = cJSON_AddArrayToObject(o, "died");
	char shown[4 * MODEL_ID_SIZE], text[DEATH_TEXT_SIZE];
	size_t i;

	for (i = 0; i < e->count; i++) {
		const struct death *d = &e->list[i];
		cJSON *item;

		if (!death_is_ready(d))
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "id", escape(d->container.id, shown, sizeof(shown)));
		cJSON_AddStringToObject(item, "name", escape(d->container.runtime.name, shown, sizeof(shown)));
		cJSON_AddStringToObject(item, "cause", death_cause_name(d->cause));
		if (d->cause != DEATH_UNKNOWN)
			cJSON_AddNumberToObject(item, d->signal ? "signal" : "exit_code",
						d->signal ? d->signal : d->exit_code);
		cJSON_AddStringToObject(item, "source", death_source_name(d->source));
		death_text(d, text, sizeof(text));
		cJSON_AddStringToObject(item, "text", text);
		cJSON_AddItemToArray(list, item);
	}
}
