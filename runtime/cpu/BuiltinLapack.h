// The rest of what Blas.h offers, for machines without OpenBLAS: recursion on halves, so that
// nearly all work is in builtinGemm. T is float or double; arguments as in Blas.h.
#ifndef GPTQC_RUNTIME_CPU_BUILTINLAPACK_H
#define GPTQC_RUNTIME_CPU_BUILTINLAPACK_H

#include "runtime/cpu/Matrix.h"

namespace gptqc {

template <typename T>
void builtinSyrk(Triangle triangle, T alpha, MatrixRef<const T> a, Transpose op, T beta,
                 MatrixRef<T> c, int threads);

template <typename T>
void builtinTrsm(Side side, Triangle triangle, Transpose op, T alpha, MatrixRef<const T> t,
                 MatrixRef<T> b, int threads);

template <typename T> int64_t builtinPotrf(Triangle triangle, MatrixRef<T> a, int threads);

/// Needs scratch memory for a quarter of the matrix, twice.
template <typename T> int64_t builtinPotri(Triangle triangle, MatrixRef<T> a, int threads);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_BUILTINLAPACK_H
