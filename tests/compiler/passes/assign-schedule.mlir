// RUN: gptqc-opt %s -split-input-file -gptqc-assign-schedule -verify-diagnostics | FileCheck %s

// CHECK-LABEL: @chosen
// CHECK: schedule = #gptq.schedule<"gemv t{{.*}}">
func.func @chosen(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// CHECK-LABEL: @kept
// CHECK: schedule = #gptq.schedule<"simt t64x2x16 warps2 stages1">
func.func @kept(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">, schedule = #gptq.schedule<"simt t64x2x16 warps2 stages1">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// bf16 tensor cores came with sm_80.
// CHECK-LABEL: @simt_where_mma_cannot
// CHECK: schedule = #gptq.schedule<"simt t128x4x16 warps4 stages1">
func.func @simt_where_mma_cannot(%x: tensor<?x4096xbf16>) -> tensor<?x4096xbf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym bf16->bf16 n4096 k4096 m1..1">, target = #gptq.target<"sm_75">} : tensor<?x4096xbf16> -> tensor<?x4096xbf16>
  return %y : tensor<?x4096xbf16>
}

// -----

func.func @illegal(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  // expected-error @+1 {{sm_75 has no cp.async; use stages1}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">, schedule = #gptq.schedule<"mma t64x8x128 warps4 stages4">, target = #gptq.target<"sm_75">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

func.func @no_target(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  // expected-error @+1 {{has no target to choose a schedule for}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}
