/**
 * The word of each field of the guest's structures. This file lists the words again, in the order
 * of the C structures in src/tree/shim/perf_event.h, which lie over the same memory.
 */
import { describe, expect, it } from 'vitest';
import {
  COUNTER_SLOTS,
  cpu_hw_events,
  CURRENT_AT,
  LAST_TASK_CTX_AT,
  NUM_COUNTERS,
  perf_cpu_context,
} from '../../../src/guest/perf/cpu_structs.js';
import {
  DROPPED_AT,
  EVENT_CTX_AT,
  GLOBAL_AT,
  GLOBAL_CTX_DATA_REF_AT,
  LBR_CALLSTACK_USERS_AT,
  perf_ctx_data,
  perf_event,
  perf_event_context,
  perf_statics,
  REFCOUNT_AT,
  TASK_CTX_DATA_AT,
  task_struct,
  USERS_AT,
  x86_perf_task_context,
} from '../../../src/guest/perf/perf_structs.js';
import { ObjectTable } from '../../../src/guest/perf/struct.js';
import { addressOf } from '../../../src/hw/memory.js';

/** Word offset of the object under test. */
const AT = 40;
const TABLE_AT = 1000;
const TABLE_WORDS = 9;
const table = new ObjectTable(TABLE_AT, TABLE_WORDS);

/** Fields in the order of their words; a `*` marks a reference that is kept as an address. */
const FIELDS = {
  task_struct: 'perf_event_ctxp on_cpu cpu alive',
  perf_event_context:
    'task parent_ctx parent_gen generation nr_events nr_active is_active *task_ctx_data ' +
    'rotate_necessary used pmu pmu_ctx_refs',
  x86_perf_task_context:
    'lbr_sel lbr_sel_hi tos valid_lbrs lbr_callstack_users lbr_stack_state log_id',
  perf_event:
    'state *ctx cpu oncpu attr branch_sample_type branch_reg_reg branch_reg_config ' +
    'branch_reg_config_hi branch_reg_idx branch_reg_alloc idx lbr_select_flag ' +
    'total_time_running pending_disable parent used pmu group_leader target',
  cpu_hw_events:
    'enabled n_events n_added n_txn txn_flags lbr_users br_sel lbr_select *last_task_ctx ' +
    'last_log_id lbr_sel_ref lbr_sel_config lbr_sel_config_hi guest_mask_vlbr lbr_stack_nr ' +
    'lbr_stack_hw_idx active_mask pv_lbr_users ' +
    'lbr_sel lbr_entries lbr_xsave lbr_pebs_users n_pebs n_large_pebs lbr_counters',
  perf_cpu_context:
    'task_ctx sched_cb_usage perf_sched_cb_usages pmu_disable_count current task_epc ' +
    'hrtimer_active guest_ctx_loaded',
  perf_ctx_data: 'refcount global life next',
  perf_statics: 'global_ctx_data_ref lbr_callstack_users free_data dropped pt',
};

const STRUCTS = [
  { name: 'task_struct', words: 4, of: (w: Int32Array) => new task_struct(w, AT, 3) },
  {
    name: 'perf_event_context',
    words: 12,
    of: (w: Int32Array) => new perf_event_context(w, AT, 3, table, 4),
  },
  {
    name: 'x86_perf_task_context',
    words: 7,
    of: (w: Int32Array) => new x86_perf_task_context(w, AT, 3),
  },
  { name: 'perf_event', words: 20, of: (w: Int32Array) => new perf_event(w, AT, 3, table) },
  { name: 'cpu_hw_events', words: 25, of: (w: Int32Array) => new cpu_hw_events(w, AT, 3, table) },
  { name: 'perf_cpu_context', words: 8, of: (w: Int32Array) => new perf_cpu_context(w, AT, 3) },
  { name: 'perf_ctx_data', words: 4, of: (w: Int32Array) => new perf_ctx_data(w, AT, 3) },
  { name: 'perf_statics', words: 5, of: (w: Int32Array) => new perf_statics(w, AT, 3) },
] as const;

const CLASSES = {
  task_struct,
  perf_event_context,
  x86_perf_task_context,
  perf_event,
  cpu_hw_events,
  perf_cpu_context,
  perf_ctx_data,
  perf_statics,
};

/** Fields of a structure with their words. */
function fieldsOf(name: keyof typeof FIELDS): { field: string; at: number; refers: boolean }[] {
  return FIELDS[name]
    .split(' ')
    .map((text, i) => ({ field: text.replace('*', ''), at: AT + i, refers: text[0] === '*' }));
}

describe.each(STRUCTS)('$name', ({ name, words, of }) => {
  it(`each field of ${name} has a word of its own, inside the structure`, () => {
    expect(CLASSES[name].WORDS).toBe(words);
    expect(CLASSES[name].FIELDS).toEqual(fieldsOf(name).map(({ field }) => field));
    for (const { field, at, refers } of fieldsOf(name)) {
      const w = new Int32Array(100);
      const object = of(w) as unknown as Record<string, number>;
      object[field] = 5;
      expect([field, object[field]]).toEqual([field, 5]);
      const written = [...w.keys()].filter((word) => w[word] !== 0);
      expect([field, written]).toEqual([field, [at]]);
      expect(w[at]).toBe(refers ? addressOf(TABLE_AT + 4 * TABLE_WORDS) : 5);
      expect(at - AT).toBeLessThan(words);
    }
  });

  it(`each field of ${name} always reads what stands in its word`, () => {
    for (const { field, at, refers } of fieldsOf(name)) {
      const w = new Int32Array(100);
      w[at] = refers ? addressOf(TABLE_AT) : -7;
      const value = (of(w) as unknown as Record<string, number>)[field];
      expect([field, value]).toEqual([field, refers ? 1 : -7]);
    }
  });

  it(`${name} always knows its number and its address`, () => {
    const object = of(new Int32Array(100));
    expect([object.id, object.o, object.address]).toEqual([3, AT, addressOf(AT)]);
  });
});

describe('words of references', () => {
  it('a word that is looked for by its number is always that of its field', () => {
    const found = [TASK_CTX_DATA_AT, EVENT_CTX_AT, LAST_TASK_CTX_AT, CURRENT_AT];
    expect(found).toEqual([7, 1, 8, 4]);
    expect([USERS_AT, REFCOUNT_AT, GLOBAL_AT]).toEqual([4, 0, 1]);
    expect([GLOBAL_CTX_DATA_REF_AT, LBR_CALLSTACK_USERS_AT, DROPPED_AT]).toEqual([0, 1, 3]);
  });
});

describe('lists behind a structure', () => {
  it('the lists of cpu_hw_events begin with the word behind it, and never overlap', () => {
    const w = new Int32Array(200);
    const cpuc = new cpu_hw_events(w, AT, 0, table);
    const after = AT + cpu_hw_events.WORDS;
    expect([NUM_COUNTERS, COUNTER_SLOTS]).toEqual([4, 5]);
    for (let slot = 0; slot < COUNTER_SLOTS; slot++) cpuc.setEvents(slot, 50 + slot);
    for (let i = 0; i < 3; i++) cpuc.setEventList(i, 60 + i);
    expect([...w.subarray(after, after + 9)]).toEqual([50, 51, 52, 53, 54, 60, 61, 62, 0]);
    expect([0, 4].map((slot) => cpuc.events(slot))).toEqual([50, 54]);
    expect([0, 2].map((i) => cpuc.event_list(i))).toEqual([60, 62]);
    // Entries have five words and follow the counters and the event list, here of three events.
    expect([0, 1, 2].map((i) => cpuc.lbr_entry(3, i) - after)).toEqual([8, 13, 18]);
  });

  it('the lists of a context and of a saved stack are numbered from their first entry', () => {
    const w = new Int32Array(200);
    const ctx = new perf_event_context(w, AT, 0, table, 3);
    for (let i = 0; i < 3; i++) {
      ctx.setEvent(i, 70 + i);
      ctx.setListed(i, 80 + i);
    }
    const after = AT + perf_event_context.WORDS;
    expect([...w.subarray(after, after + 7)]).toEqual([70, 71, 72, 80, 81, 82, 0]);
    expect([0, 1, 2].map((i) => ctx.event(i))).toEqual([70, 71, 72]);
    expect([0, 1, 2].map((i) => ctx.listed(i))).toEqual([80, 81, 82]);
    expect(perf_event_context.wordsFor(3)).toBe(perf_event_context.WORDS + 6);
    const data = new x86_perf_task_context(w, AT, 0);
    expect([0, 1, 2].map((i) => data.lbr(i) - AT)).toEqual([7, 13, 19]);
  });
});

describe('ObjectTable', () => {
  it('ObjectTable always turns a number into an address and back, and null into 0', () => {
    expect([table.address(0), table.plusOne(0)]).toEqual([0, 0]);
    for (const plusOne of [1, 2, 30]) {
      const address = addressOf(TABLE_AT + (plusOne - 1) * TABLE_WORDS);
      expect(table.address(plusOne)).toBe(address);
      expect(table.plusOne(address)).toBe(plusOne);
    }
  });

  it('ObjectTable always finds the object that an address inside it belongs to', () => {
    const inside = addressOf(TABLE_AT + 2 * TABLE_WORDS + TABLE_WORDS - 1);
    expect(table.plusOne(inside)).toBe(3);
  });
});
