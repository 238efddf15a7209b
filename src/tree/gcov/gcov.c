/*
 * What clang's -fprofile-arcs expects of a run-time library. This file only notes where the
 * counters of each function lie; src/guest/image/arcs.ts reads them. Only a build that counts which
 * code runs contains this file.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
typedef unsigned int u32;
typedef unsigned long long u64;

#define FILES_MAX 32
#ifndef FUNCTIONS_MAX
#define FUNCTIONS_MAX 8192
#endif

/* All addresses fit in 32 bits. */
#define ADDRESS(pointer) ((u32)(unsigned long)(pointer))

static struct {
	u32 files, functions;
	struct { u32 name, version, checksum, first_function; } file[FILES_MAX];
	struct { u32 ident, func_checksum, cfg_checksum, counters, first; } function[FUNCTIONS_MAX];
} table;

static void (*writeout[FILES_MAX])(void);
static u32 registered;

/* Each file calls this once, by a constructor. */
void llvm_gcov_init(void (*write)(void), void (*reset)(void))
{
	(void)reset;
	if (registered == FILES_MAX)
		__builtin_trap();
	writeout[registered++] = write;
}

void llvm_gcda_start_file(const char *name, u32 version, u32 checksum)
{
	u32 i = table.files++;

	if (i == FILES_MAX)
		__builtin_trap();
	table.file[i].name = ADDRESS(name);
	table.file[i].version = version;
	table.file[i].checksum = checksum;
	table.file[i].first_function = table.functions;
}

void llvm_gcda_emit_function(u32 ident, u32 func_checksum, u32 cfg_checksum)
{
	u32 i = table.functions++;

	if (i == FUNCTIONS_MAX)
		__builtin_trap();
	table.function[i].ident = ident;
	table.function[i].func_checksum = func_checksum;
	table.function[i].cfg_checksum = cfg_checksum;
}

void llvm_gcda_emit_arcs(u32 counters, const u64 *first)
{
	u32 i = table.functions - 1;

	table.function[i].counters = counters;
	table.function[i].first = ADDRESS(first);
}

void llvm_gcda_summary_info(void) {}
void llvm_gcda_end_file(void) {}

void __wasm_call_ctors(void);

/* Makes the table. Returns where it lies. */
__attribute__((export_name("gcov_table")))
const void *vlbr_gcov_table(void)
{
	u32 i;

	table.files = table.functions = registered = 0;
	/* Calls llvm_gcov_init(). */
	__wasm_call_ctors();
	for (i = 0; i < registered; i++)
		writeout[i]();
	return &table;
}
