// RUN: gptqc-opt %s -split-input-file -verify-diagnostics -allow-unregistered-dialect

func.func @descriptor_c1(%x: tensor<?x64xf16>) {
  // expected-error-re @+1 {{descriptor 'w9 g128 sym f16->f16 n64 k64 m1..1': bits must be 2 to 8{{.*}}}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w9 g128 sym f16->f16 n64 k64 m1..1">} : tensor<?x64xf16> -> tensor<?x64xf16>
}

// -----

func.func @target_c1(%x: tensor<?x64xf16>) {
  // expected-error-re @+1 {{target 'sm_61': {{.*}}}}
  "test.op"() {target = #gptq.target<"sm_61">} : () -> ()
}

// -----

func.func @schedule_c1(%x: tensor<?x64xf16>) {
  // expected-error-re @+1 {{schedule 'mma t64': {{.*}}}}
  "test.op"() {schedule = #gptq.schedule<"mma t64">} : () -> ()
}

// -----

func.func @schedule_c2(%x: tensor<?x64xf16>) {
  // expected-error @+1 {{is not the canonical spelling, write 'mma t64x8x64 warps4 stages2'}}
  "test.op"() {schedule = #gptq.schedule<"mma t64x8x64 warps4 kwarps1 stages2">} : () -> ()
}

// -----

func.func @linear_c1(%x: tensor<?x64xbf16>) {
  // expected-error @+1 {{x must have element type f16}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..1">} : tensor<?x64xbf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c2(%x: tensor<?x64xf16>) {
  // expected-error @+1 {{the result must have element type bf16}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->bf16 n32 k64 m1..1">} : tensor<?x64xf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c3(%x: tensor<?x63xf16>) {
  // expected-error @+1 {{x must have 64 columns (K)}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..1">} : tensor<?x63xf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c4(%x: tensor<?x64xf16>) {
  // expected-error @+1 {{the result must have 16 columns}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..1 silu_mul">} : tensor<?x64xf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c5(%x: tensor<3x64xf16>) {
  // expected-error @+1 {{dimension 0 must be the same}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..2">} : tensor<3x64xf16> -> tensor<3x32xf16>
}

// -----

func.func @linear_c6(%x: tensor<?x64xf16>) {
  // expected-error @+1 {{has a schedule but no target}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..1">, schedule = #gptq.schedule<"mma t64x8x64 warps4 stages2">} : tensor<?x64xf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c7_missing(%x: tensor<?x64xf16>) {
  // expected-error @+1 {{a layer of 8 experts needs offsets of 9 rows}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 experts8 m1..1">} : tensor<?x64xf16> -> tensor<?x32xf16>
}

// -----

func.func @linear_c7_count(%x: tensor<?x64xf16>, %o: tensor<8xi32>) {
  // expected-error @+1 {{a layer of 8 experts needs offsets of 9 rows}}
  %y = gptq.linear %x experts %o {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 experts8 m1..1">} : tensor<?x64xf16>, tensor<8xi32> -> tensor<?x32xf16>
}

// -----

func.func @linear_c7_plain(%x: tensor<?x64xf16>, %o: tensor<2xi32>) {
  // expected-error @+1 {{a layer of 1 expert has no offsets}}
  %y = gptq.linear %x experts %o {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n32 k64 m1..1">} : tensor<?x64xf16>, tensor<2xi32> -> tensor<?x32xf16>
}
