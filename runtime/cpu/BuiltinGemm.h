// Matrix product for machines without OpenBLAS: packed panels and one register-blocked loop.
#ifndef GPTQC_RUNTIME_CPU_BUILTINGEMM_H
#define GPTQC_RUNTIME_CPU_BUILTINGEMM_H

#include "runtime/cpu/Matrix.h"

namespace gptqc {

/// C = alpha op(A) op(B) + beta C for T = float or double; C is not read where beta is 0. Each
/// element is summed in increasing order of k, whatever the number of threads.
template <typename T>
void builtinGemm(T alpha, MatrixRef<const T> a, Transpose opA, MatrixRef<const T> b, Transpose opB,
                 T beta, MatrixRef<T> c, int threads);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_BUILTINGEMM_H
