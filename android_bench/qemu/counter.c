/* A plugin for qemu's user mode: instructions of each inference, and which kernels they belong to.
 *
 * The runner puts two system calls that no kernel has around every measured inference; between them everything the
 * thread that made them executes is counted. Other threads are not: a runtime may have one that idles in a loop, so a
 * model is to be run on one thread.
 *
 *     qemu-aarch64 -plugin counter.so,out=counts.jsonl ...       one line of JSON for every inference
 *
 * qemu's own header is in no package, so the few functions used are declared here. PLUGIN_API is the version of
 * them that the emulator speaks: 1 up to qemu 8, 2 in 9.0, 4 after that; only 1 has been run.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif
#define EXPORT __attribute__((visibility("default")))

struct block;
struct instruction;
typedef uint64_t plugin_id;
typedef void (*translated)(plugin_id, struct block *);
typedef void (*executed)(unsigned core, void *data);
typedef void (*called)(plugin_id, unsigned core, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t);
enum { READS_NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, executed, int registers, void *data);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, called);
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t index);
#if PLUGIN_API < 3
const void *qemu_plugin_insn_data(const struct instruction *);
#else
size_t qemu_plugin_insn_data(const struct instruction *, void *to, size_t length);
#endif

EXPORT int qemu_plugin_version = PLUGIN_API;

enum { MARK_BEGIN = 5001, MARK_END = 5002 }; /* the same as in runner/measure.cpp */

/* Multiply-accumulates of matrix kernels, by what a processor must have for them. */
struct kind {
  const char *name;
  uint32_t mask, value;
};
static const struct kind KINDS[] = {
#include "kinds.inc"
};
enum { KINDS_COUNT = sizeof KINDS / sizeof *KINDS };

struct counts {
  uint64_t all;
  uint64_t of[KINDS_COUNT];
};
static struct counts total;
static int counted_core = -1; /* qemu's number of the thread between the marks */
static FILE *out;

static uint32_t word_of(const struct instruction *instruction) {
  uint32_t word = 0;
#if PLUGIN_API < 3
  memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
#else
  qemu_plugin_insn_data(instruction, &word, sizeof word);
#endif
  return word;
}

static void on_executed(unsigned core, void *data) {
  const struct counts *block = data;
  if ((int)core != counted_core) return;
  total.all += block->all;
  for (int kind = 0; kind < KINDS_COUNT; ++kind) total.of[kind] += block->of[kind];
}

static void on_translated(plugin_id id, struct block *block) {
  struct counts *found = calloc(1, sizeof *found); /* lives as long as the block may run: until the end */
  (void)id;
  found->all = qemu_plugin_tb_n_insns(block);
  for (size_t index = 0; index < found->all; ++index) {
    const uint32_t word = word_of(qemu_plugin_tb_get_insn(block, index));
    for (int kind = 0; kind < KINDS_COUNT; ++kind)
      if ((word & KINDS[kind].mask) == KINDS[kind].value) ++found->of[kind];
  }
  qemu_plugin_register_vcpu_tb_exec_cb(block, on_executed, READS_NO_REGISTERS, found);
}

/* Several encodings share a name: their counts are one. */
static void write_counts(void) {
  fprintf(out, "{\"instructions\": %" PRIu64, total.all);
  for (int kind = 0; kind < KINDS_COUNT; ++kind) {
    uint64_t sum = total.of[kind];
    if (kind > 0 && strcmp(KINDS[kind].name, KINDS[kind - 1].name) == 0) continue;
    for (int next = kind + 1; next < KINDS_COUNT && strcmp(KINDS[next].name, KINDS[kind].name) == 0; ++next)
      sum += total.of[next];
    fprintf(out, ", \"%s\": %" PRIu64, KINDS[kind].name, sum);
  }
  fprintf(out, "}\n");
  fflush(out);
}

static void on_called(plugin_id id, unsigned core, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                      uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number == MARK_BEGIN) {
    memset(&total, 0, sizeof total);
    counted_core = (int)core;
  } else if (number == MARK_END && (int)core == counted_core) {
    counted_core = -1;
    write_counts();
  }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int count, char **words) {
  (void)info;
  if (count != 1 || strncmp(words[0], "out=", 4) != 0) {
    fprintf(stderr, "counter: takes out=FILE\n");
    return 1;
  }
  out = fopen(words[0] + 4, "w");
  if (out == NULL) {
    fprintf(stderr, "counter: cannot write '%s'\n", words[0] + 4);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
  qemu_plugin_register_vcpu_syscall_cb(id, on_called);
  return 0;
}
