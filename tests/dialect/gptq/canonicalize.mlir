// RUN: gptqc-opt %s -canonicalize | FileCheck %s

// CHECK-LABEL: @group_of_all_of_k
// CHECK: #gptq.descriptor<"w4 g-1 sym f16->f16 n32 k64 m1..1">
func.func @group_of_all_of_k(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n32 k64 m1..1">} : tensor<?x64xf16> -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// Both patterns, one after the other.
// CHECK-LABEL: @one_group_needs_no_order
// CHECK: #gptq.descriptor<"w4 g-1 sym f16->f16 n32 k64 m1..1">
func.func @one_group_needs_no_order(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g64 sym actorder f16->f16 n32 k64 m1..1">} : tensor<?x64xf16> -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// CHECK-LABEL: @several_groups_keep_it
// CHECK: #gptq.descriptor<"w4 g32 sym actorder f16->f16 n32 k64 m1..1">
func.func @several_groups_keep_it(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym actorder f16->f16 n32 k64 m1..1">} : tensor<?x64xf16> -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}
