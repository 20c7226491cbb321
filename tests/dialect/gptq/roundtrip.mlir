// RUN: gptqc-opt %s | gptqc-opt | FileCheck %s

// CHECK-LABEL: func.func @plain
// CHECK: gptq.linear %{{.*}} {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
func.func @plain(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// CHECK-LABEL: func.func @scheduled
// CHECK-SAME: tensor<12x11008xbf16>
// CHECK: schedule = #gptq.schedule<"mma t64x16x128 warps4 kwarps2 stages4 xvec2">, target = #gptq.target<"sm_90a h200 sms132">
func.func @scheduled(%x: tensor<12x11008xbf16>) -> tensor<12x2152xf16> {
  %y = gptq.linear %x {
    descriptor = #gptq.descriptor<"w3 g64 asym actorder bf16->f16 n4304 k11008 m9..16 bias silu_mul">,
    schedule = #gptq.schedule<"mma t64x16x128 warps4 kwarps2 stages4 xvec2">,
    target = #gptq.target<"sm_90a h200 sms132">
  } : tensor<12x11008xbf16> -> tensor<12x2152xf16>
  return %y : tensor<12x2152xf16>
}

// CHECK-LABEL: func.func @grouped
// CHECK: gptq.linear %{{.*}} experts %{{.*}} {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n14336 k4096 experts8 m9..16">} : tensor<?x4096xf16>, tensor<9xi32> -> tensor<?x14336xf16>
func.func @grouped(%x: tensor<?x4096xf16>, %offsets: tensor<9xi32>) -> tensor<?x14336xf16> {
  %y = gptq.linear %x experts %offsets {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n14336 k4096 experts8 m9..16">} : tensor<?x4096xf16>, tensor<9xi32> -> tensor<?x14336xf16>
  return %y : tensor<?x14336xf16>
}
