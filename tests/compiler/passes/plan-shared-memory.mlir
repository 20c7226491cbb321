// RUN: gptqc-opt %s -split-input-file -gptqc-plan-shared-memory -verify-diagnostics | FileCheck %s

// The sums are written after the last use of the stages, and overlay them.
// CHECK: tile.kernel @overlay attributes {{.*}}shared_bytes = 8320
// CHECK: tile.shared <weights> {offset = 0 : i64}
// CHECK: tile.shared <activations> {offset = 4224 : i64}
// CHECK: tile.shared <sums> {offset = 0 : i64}
tile.kernel @overlay attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %w = tile.shared <weights> : !tile.shared<1 slots, 4112 bytes>
  %a = tile.shared <activations> : !tile.shared<1 slots, 4096 bytes>
  %t = tile.shared <sums> : !tile.shared<1 slots, 2048 bytes>
  %i = tile.block_index <rows>
  %acc = tile.accumulator : !tile.registers<1x1x4xf32>
  tile.copy_weights %w[%i], rows %i, k %i : !tile.shared<1 slots, 4112 bytes>
  tile.copy_activations %a[%i], tokens %i, k %i : !tile.shared<1 slots, 4096 bytes>
  %b = tile.load_activations %a[%i], step %i : !tile.shared<1 slots, 4096 bytes> -> !tile.registers<1x1x2xi32>
  tile.accumulate %acc[%i], %b, %w, %w[%i], k %i, step %i scaling <sums>
    : !tile.registers<1x1x4xf32>, !tile.registers<1x1x2xi32>, !tile.shared<1 slots, 4112 bytes>, !tile.shared<1 slots, 4112 bytes>
  tile.reduce_warps %acc into %t : !tile.registers<1x1x4xf32> into !tile.shared<1 slots, 2048 bytes>
  tile.store %t, rows %i, tokens %i : !tile.shared<1 slots, 2048 bytes>
}

// -----

// Live at the same time: no overlay.
// CHECK: tile.kernel @apart attributes {{.*}}shared_bytes = 6144
// CHECK: tile.shared <weights> {offset = 0 : i64}
// CHECK: tile.shared <sums> {offset = 4096 : i64}
tile.kernel @apart attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %w = tile.shared <weights> : !tile.shared<1 slots, 4096 bytes>
  %t = tile.shared <sums> : !tile.shared<1 slots, 2048 bytes>
  %i = tile.block_index <rows>
  tile.copy_weights %w[%i], rows %i, k %i : !tile.shared<1 slots, 4096 bytes>
  tile.store %t, rows %i, tokens %i : !tile.shared<1 slots, 2048 bytes>
  tile.copy_weights %w[%i], rows %i, k %i : !tile.shared<1 slots, 4096 bytes>
}

// -----

// expected-error @+1 {{needs 131072 bytes of shared memory, sm_75 has 65536 a block}}
tile.kernel @too_much attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages1">, target = #gptq.target<"sm_75">} {
  %w = tile.shared <weights> : !tile.shared<1 slots, 131072 bytes>
  %i = tile.block_index <rows>
  tile.copy_weights %w[%i], rows %i, k %i : !tile.shared<1 slots, 131072 bytes>
}
