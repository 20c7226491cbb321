// The ops of the gptq dialect.
#ifndef GPTQC_DIALECT_GPTQ_GPTQOPS_TD
#define GPTQC_DIALECT_GPTQ_GPTQOPS_TD

include "dialect/gptq/GptqDialect.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Gptq_Activations : 2DTensorOf<[F16, BF16]>;

def Gptq_LinearOp : Op<Gptq_Dialect, "linear", [Pure]> {
  let summary = "Y[M,N] = epilogue(X[M,K] W[K,N] + bias) with GPTQ-quantized W";
  let description = [{
    The weights, scales, zero points, permutation and bias are arguments of the launch, not of the op:
    their forms follow from the descriptor.

    Constraints:
    - linear_c1: the element type of `x` is the descriptor's activation type.
    - linear_c2: the element type of the result is the descriptor's output type.
    - linear_c3: dimension 1 of `x` is K.
    - linear_c4: dimension 1 of the result is N, or N/2 with silu_mul.
    - linear_c5: dimension 0 of `x` and of the result agree; a static one lies in the descriptor's M range.
    - linear_c6: a schedule needs a target.
    - linear_c7: a grouped layer has offsets, tensor<(experts + 1)xi32>, which say where the rows of
      each expert begin in `x`; other layers have none.

    Canonicalization:
    - a group size >= K becomes -1;
    - act-order and ragged are dropped where there is one group: no column order changes its sum.

    Example:
    ```mlir
    %y = gptq.linear %x {
      descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">,
      target = #gptq.target<"sm_90a">
    } : tensor<?x4096xf16> -> tensor<?x4096xf16>
    ```
  }];
  let arguments = (ins Gptq_Activations:$x, Optional<1DTensorOf<[I32]>>:$offsets,
                       Gptq_DescriptorAttr:$descriptor,
                       OptionalAttr<Gptq_TargetAttr>:$target,
                       OptionalAttr<Gptq_ScheduleAttr>:$schedule);
  let results = (outs Gptq_Activations:$y);
  let assemblyFormat = [{
    $x (`experts` $offsets^)? attr-dict `:` type($x) (`,` type($offsets)^)? `->` type($y)
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

#endif // GPTQC_DIALECT_GPTQ_GPTQOPS_TD
