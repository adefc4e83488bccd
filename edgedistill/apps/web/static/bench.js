/** Times inferences in this browser: MLPerf's warm-up and minimums, raw times given back. */

import { load } from "../edgedistill.js";

/**
 * @param {{groups: {length: number, inputs: {ids: number[], typeIds: number[]}[]}[], warmUpRuns: number,
 *   warmUpSeconds: number, minRuns: number, minSeconds: number, maxSeconds: number}} plan
 * @returns {Promise<{loadMs: number, isolated: boolean, groups: {length: number, firstMs: number,
 *   samplesMs: number[]}[]}>}
 */
export async function timed(plan, note) {
  const begun = performance.now();
  const model = await load(undefined, note);
  const loadMs = performance.now() - begun;
  const groups = [];
  for (const { length, inputs } of plan.groups) {
    note(`Timing ${length} tokens`);
    const call = async (number) => {
      const { ids, typeIds } = inputs[number % inputs.length];
      const start = performance.now();
      await model.runIds(ids, typeIds);
      return performance.now() - start;
    };
    const firstMs = await call(0);
    await repeated(call, (runs, ms) => runs >= plan.warmUpRuns && ms >= 1000 * plan.warmUpSeconds);
    const samplesMs = await repeated(
      call,
      (runs, ms) => (runs >= plan.minRuns && ms >= 1000 * plan.minSeconds) || ms >= 1000 * plan.maxSeconds,
    );
    groups.push({ length, firstMs, samplesMs });
  }
  return { loadMs, isolated: globalThis.crossOriginIsolated === true, groups };
}

async function repeated(call, isEnough) {
  const samples = [];
  let sum = 0;
  while (!isEnough(samples.length, sum)) {
    samples.push(await call(samples.length));
    sum += samples.at(-1);
  }
  return samples;
}
