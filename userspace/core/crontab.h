/* SPDX-License-Identifier: GPL-2.0 */
/* Our entry in a crontab that is somebody else's too.  Pure. */
#ifndef CORE_CRONTAB_H
#define CORE_CRONTAB_H

/*
 * The same crontab without our entry, or with this one instead; every other byte stays.
 * Return: a new string, which the caller frees; NULL: no memory.
 */
char *crontab_without(const char *text);
char *crontab_with(const char *text, const char *entry);

/**
 * crontab_quote() - a word for a command in a crontab
 *
 * Quoted for the shell, and "%" for cron, to which it is the end of the command
 * (crontab(5)).
 *
 * Return: a new string, which the caller frees; NULL: no memory, or @word has a line end,
 * for which there is no way.
 */
char *crontab_quote(const char *word);

#endif
