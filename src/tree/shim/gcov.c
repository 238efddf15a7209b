/*
 * What clang's -fprofile-arcs expects of a run-time library. This file only notes where the
 * counters of each function lie; src/questions/conform/coverage.ts reads them and writes them to a
 * file. Only an instrumented build contains this file.
 */
#include "perf_event.h"

#define VLBR_FUNCTIONS_MAX 256

static struct {
	u32 version, checksum, functions;
	struct { u32 ident, func_checksum, cfg_checksum, counters; const u64 *first; }
		function[VLBR_FUNCTIONS_MAX];
} table;

static void (*writeout)(void);

void llvm_gcov_init(void (*write)(void), void (*reset)(void))
{
	(void)reset;
	writeout = write;
}

void llvm_gcda_start_file(const char *name, u32 version, u32 checksum)
{
	(void)name;
	table.version = version;
	table.checksum = checksum;
}

void llvm_gcda_emit_function(u32 ident, u32 func_checksum, u32 cfg_checksum)
{
	u32 i = table.functions;

	if (i == VLBR_FUNCTIONS_MAX)
		__builtin_trap();
	table.function[i].ident = ident;
	table.function[i].func_checksum = func_checksum;
	table.function[i].cfg_checksum = cfg_checksum;
	table.functions++;
}

void llvm_gcda_emit_arcs(u32 counters, const u64 *first)
{
	u32 i = table.functions - 1;

	table.function[i].counters = counters;
	table.function[i].first = first;
}

void llvm_gcda_summary_info(void) {}
void llvm_gcda_end_file(void) {}

void __wasm_call_ctors(void);

__attribute__((export_name("gcov_table")))
const void *vlbr_gcov_table(void)
{
	table.functions = 0;
	/* Calls llvm_gcov_init(). */
	__wasm_call_ctors();
	writeout();
	return &table;
}
