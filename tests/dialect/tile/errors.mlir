// RUN: gptqc-opt %s -split-input-file -verify-diagnostics -allow-unregistered-dialect

// expected-error @+1 {{shared_bytes is set, but the buffer of weights is not placed inside}}
tile.kernel @kernel_c1 attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 128 : i64,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %w = tile.shared <weights> {offset = 0} : !tile.shared<1 slots, 256 bytes>
}

// -----

tile.kernel @shared_c1 attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  // expected-error @+1 {{the offset must be a multiple of 128}}
  %w = tile.shared <weights> {offset = 64} : !tile.shared<1 slots, 256 bytes>
}

// -----

// expected-error @+1 {{belongs directly into a tile.kernel}}
%shared_c2 = tile.shared <weights> : !tile.shared<1 slots, 256 bytes>

// -----

tile.kernel @shared_c3 attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  // expected-error @+1 {{is the second buffer for weights}}
  %a = tile.shared <weights> : !tile.shared<1 slots, 256 bytes>
  %b = tile.shared <weights> : !tile.shared<1 slots, 256 bytes>
}

// -----

// expected-error @+1 {{at least one slot of a multiple of 16 bytes}}
%shared_type_c1 = "test.op"() : () -> !tile.shared<2 slots, 24 bytes>

// -----

// expected-error @+1 {{registers are a non-empty array of f32 or i32}}
%registers_type_c1 = "test.op"() : () -> !tile.registers<2x4xf16>

// -----

// expected-error @+1 {{sums are f32}}
%accumulator_c1 = tile.accumulator : !tile.registers<2x4xi32>

// -----

func.func @load_activations_c1(%a: !tile.shared<1 slots, 256 bytes>, %i: index) {
  // expected-error @+1 {{a power of two of steps}}
  %b = tile.load_activations %a[%i], step %i : !tile.shared<1 slots, 256 bytes> -> !tile.registers<3x2x2xi32>
}

// -----

func.func @accumulate_c1(%acc: !tile.registers<2x2x4xf32>, %b: !tile.registers<4x1x2xi32>,
                         %w: !tile.shared<1 slots, 256 bytes>, %i: index) {
  // expected-error @+1 {{needs sums [n16 tiles][m8 tiles][4]}}
  tile.accumulate %acc[%i], %b, %w, %w[%i], k %i, step %i scaling <sums>
    : !tile.registers<2x2x4xf32>, !tile.registers<4x1x2xi32>, !tile.shared<1 slots, 256 bytes>, !tile.shared<1 slots, 256 bytes>
}

// -----

tile.kernel @accumulate_c2 attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 scales:bf16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %w = tile.shared <weights> : !tile.shared<1 slots, 256 bytes>
  %s = tile.shared <scales> : !tile.shared<1 slots, 256 bytes>
  %i = tile.block_index <rows>
  %acc = tile.accumulator : !tile.registers<2x2x4xf32>
  %b = tile.load_activations %w[%i], step %i : !tile.shared<1 slots, 256 bytes> -> !tile.registers<4x2x2xi32>
  // expected-error @+1 {{scaling in the fragments needs scales of the activation type}}
  tile.accumulate %acc[%i], %b, %w, %s[%i], k %i, step %i scaling <fragments>
    : !tile.registers<2x2x4xf32>, !tile.registers<4x2x2xi32>, !tile.shared<1 slots, 256 bytes>, !tile.shared<1 slots, 256 bytes>
}

// -----

// expected-error @+1 {{tile.name must be a C identifier}}
"test.op"() {tile.name = "2x"} : () -> () // attribute_c1

// -----

// expected-error @+1 {{tile.unroll is a unit or a positive i64 on an scf.for}}
"test.op"() {tile.unroll} : () -> () // attribute_c2

// -----

func.func @attribute_c2_factor(%i: index) {
  // expected-error @+1 {{tile.unroll is a unit or a positive i64 on an scf.for}}
  scf.for %j = %i to %i step %i {
  } {tile.unroll = 0 : i64}
  return
}

// -----

func.func @multiply_round_c1(%consumer: !tile.consumer, %acc: !tile.registers<2x2x4xf32>, %i: index) {
  // expected-error @+1 {{needs sums [fragments][tokens / 2] of f32}}
  tile.multiply_round %consumer, %acc : !tile.registers<2x2x4xf32>, k %i
  return
}

// -----

tile.kernel @enter_expert_c1_plain attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %m = tile.block_index <tokens>
  // expected-error @+1 {{belongs once and directly into a tile.kernel of a grouped layer}}
  %e = tile.enter_expert %m
}

// -----

tile.kernel @enter_expert_c1_twice attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 experts8 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %m = tile.block_index <tokens>
  // expected-error @+1 {{belongs once}}
  %e = tile.enter_expert %m
  %f = tile.enter_expert %m
}

// -----

func.func @accumulate_rows_c1(%share: !tile.slice, %slot: !tile.unit, %acc: !tile.registers<2x2x4xf32>, %i: index) {
  // expected-error @+1 {{a power of two of steps}}
  tile.accumulate_rows %acc, %share, %slot, unit %i, step %i of 3 : !tile.registers<2x2x4xf32>
  return
}
