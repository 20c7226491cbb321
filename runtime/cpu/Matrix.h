// Row-major matrices, borrowed and owned, and the words in which BLAS and LAPACK operations are
// described.
#ifndef GPTQC_RUNTIME_CPU_MATRIX_H
#define GPTQC_RUNTIME_CPU_MATRIX_H

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace gptqc {

/// Element (i, j) is data[i * stride + j]. The memory is the caller's.
template <typename T> struct MatrixRef {
  T *data = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t stride = 0; ///< elements from one row to the next, >= columns

  MatrixRef() = default;
  MatrixRef(T *data, int64_t rows, int64_t columns)
      : data(data), rows(rows), columns(columns), stride(columns) {}
  MatrixRef(T *data, int64_t rows, int64_t columns, int64_t stride)
      : data(data), rows(rows), columns(columns), stride(stride) {}
  /// A mutable matrix is a constant one.
  template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
  MatrixRef(const MatrixRef<U> &other)
      : data(other.data), rows(other.rows), columns(other.columns), stride(other.stride) {}

  T &at(int64_t i, int64_t j) const { return data[i * stride + j]; }
  T *row(int64_t i) const { return data + i * stride; }
  MatrixRef block(int64_t i, int64_t j, int64_t blockRows, int64_t blockColumns) const {
    return {data + i * stride + j, blockRows, blockColumns, stride};
  }
};

/// A row-major matrix of floats with its memory, zeros at first.
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), values(size_t(rows * columns)) {}
  MatrixRef<float> ref() { return {values.data(), rows, columns}; }
  MatrixRef<const float> ref() const { return {values.data(), rows, columns}; }
  bool empty() const { return values.empty(); }
};

/// op(A): A or its transpose.
enum class Transpose { No, Yes };
/// Which triangle of a square matrix is read or written; the other is left alone.
enum class Triangle { Lower, Upper };
/// op(T) X = B, or X op(T) = B.
enum class Side { Left, Right };

} // namespace gptqc

#endif // GPTQC_RUNTIME_CPU_MATRIX_H
