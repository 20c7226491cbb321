// RUN: gptqc-opt %s -split-input-file -gptqc-verify-emittable -verify-diagnostics -allow-unregistered-dialect

// expected-error @+1 {{is left besides the kernels}}
func.func private @function()

// -----

// expected-error @+1 {{has no shared_bytes}}
tile.kernel @unplanned attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
}

// -----

tile.kernel @unnamed_loop attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %i = tile.block_index <rows>
  // expected-error @+1 {{needs a tile.name for its counter}}
  scf.for %k = %i to %i step %i {
  }
}

// -----

tile.kernel @else_branch attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %i = tile.block_index <rows>
  %c = arith.cmpi slt, %i, %i : index
  // expected-error @+1 {{must have neither results nor an else branch}}
  scf.if %c {
    tile.commit
  } else {
    tile.commit
  }
}

// -----

tile.kernel @other_predicate attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  %i = tile.block_index <rows>
  // expected-error @+1 {{only slt is emitted}}
  %c = arith.cmpi sge, %i, %i : index
}

// -----

tile.kernel @wide_arithmetic attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  // expected-error @+1 {{has no form in CUDA C++}}
  %c = arith.constant 1 : i64
}

// -----

tile.kernel @unknown_op attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
  // expected-error @+1 {{has no form in CUDA C++}}
  "test.op"() : () -> ()
}

// -----

// expected-error @+1 {{is of a grouped layer, but enters no expert}}
tile.kernel @no_expert attributes {
  descriptor = #gptq.descriptor<"w4 g-1 sym f16->f16 n64 k64 experts8 m1..1">, shared_bytes = 0,
  schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">, target = #gptq.target<"sm_90a">} {
}
