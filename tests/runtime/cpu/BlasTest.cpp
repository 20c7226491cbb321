// Every function of Blas, by both libraries, on sizes around the blocks of the built-in code,
// against plain loops in double.
#include "runtime/cpu/Blas.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/cpu/Random.h"

namespace gptqc {
namespace {

constexpr Transpose kOps[] = {Transpose::No, Transpose::Yes};
constexpr Triangle kTriangles[] = {Triangle::Lower, Triangle::Upper};
constexpr double kMark = 7777; ///< in places that must not be written

/// A matrix with a stride of its own, the gap marked.
template <typename T> struct Dense {
  int64_t rows, columns, stride;
  std::vector<T> values;
  Dense(int64_t rows, int64_t columns, Random *random = nullptr)
      : rows(rows), columns(columns), stride(columns + 3),
        values(size_t(rows * (columns + 3)), T(kMark)) {
    for (int64_t i = 0; i < rows && random; ++i)
      for (int64_t j = 0; j < columns; ++j)
        ref().at(i, j) = T(random->normal());
  }
  MatrixRef<T> ref() { return {values.data(), rows, columns, stride}; }
  bool gapUntouched() const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = columns; j < stride; ++j)
        if (values[size_t(i * stride + j)] != T(kMark))
          return false;
    return true;
  }
};

template <typename T> double element(MatrixRef<T> a, Transpose op, int64_t i, int64_t j) {
  return op == Transpose::Yes ? a.at(j, i) : a.at(i, j);
}

bool inTriangle(Triangle triangle, int64_t i, int64_t j) {
  return triangle == Triangle::Lower ? j <= i : j >= i;
}

/// Each test runs for both types.
template <typename T> class BlasTyped : public testing::Test {
protected:
  static constexpr double kTolerance = sizeof(T) == 4 ? 2e-5 : 1e-12;

  /// The libraries of this machine; the built-in one always.
  static std::vector<Blas> libraries() {
    std::vector<Blas> found = {Blas::builtin(2)};
    if (Result<Blas> openblas = Blas::openblas("", 2); openblas.ok())
      found.push_back(*openblas);
    return found;
  }

  static void expectGemm(const Blas &blas, int64_t m, int64_t n, int64_t k, Transpose opA,
                         Transpose opB, Random &random) {
    Dense<T> a(opA == Transpose::Yes ? k : m, opA == Transpose::Yes ? m : k, &random);
    Dense<T> b(opB == Transpose::Yes ? n : k, opB == Transpose::Yes ? k : n, &random);
    Dense<T> c(m, n, &random), before = c;
    blas.gemm(T(2), a.ref(), opA, b.ref(), opB, T(-1), c.ref());
    EXPECT_TRUE(c.gapUntouched());
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = -double(before.ref().at(i, j)), size = 1;
        for (int64_t p = 0; p < k; ++p) {
          const double product = 2 * element(a.ref(), opA, i, p) * element(b.ref(), opB, p, j);
          sum += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(c.ref().at(i, j), sum, kTolerance * size)
            << blas.name() << " m" << m << " n" << n << " k" << k << " at " << i << ", " << j;
      }
  }

  /// A well-conditioned symmetric matrix; the triangle that must stay is marked.
  static Dense<T> positive(int64_t n, Triangle triangle, Random &random) {
    Dense<T> a(n, n);
    Dense<T> factor(n, n, &random);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = i == j ? double(n) : 0;
        for (int64_t p = 0; p < n; ++p)
          sum += double(factor.ref().at(i, p)) * factor.ref().at(j, p);
        if (inTriangle(triangle, i, j))
          a.ref().at(i, j) = T(sum);
      }
    return a;
  }
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(BlasTyped, Types);

TYPED_TEST(BlasTyped, Gemm) {
  Random random(1);
  for (const Blas &blas : this->libraries())
    for (const Transpose opA : kOps)
      for (const Transpose opB : kOps) {
        this->expectGemm(blas, 1, 1, 1, opA, opB, random);
        this->expectGemm(blas, 7, 65, 3, opA, opB, random);
        this->expectGemm(blas, 20, 131, 259, opA, opB, random);
      }
  this->expectGemm(Blas::builtin(2), 100, 30, 512, Transpose::Yes, Transpose::Yes, random);
  this->expectGemm(Blas::builtin(2), 3, 4130, 20, Transpose::No, Transpose::Yes, random);
  this->expectGemm(Blas::builtin(2), 4, 70, 259, Transpose::No, Transpose::Yes, random);
}

TYPED_TEST(BlasTyped, GemmDoesNotReadWhatBetaZeroReplaces) {
  using T = TypeParam;
  for (const Blas &blas : this->libraries()) {
    std::vector<T> a(4, T(1)), c(4, std::numeric_limits<T>::quiet_NaN());
    const MatrixRef<T> aRef(a.data(), 2, 2), cRef(c.data(), 2, 2);
    blas.gemm(T(1), aRef, Transpose::No, aRef, Transpose::No, T(0), cRef);
    EXPECT_EQ(c, std::vector<T>(4, T(2))) << blas.name();
    blas.gemm(T(1), MatrixRef<T>(a.data(), 2, 0), Transpose::No, MatrixRef<T>(a.data(), 0, 2),
              Transpose::No, T(0), cRef);
    EXPECT_EQ(c, std::vector<T>(4, T(0))) << blas.name();
  }
}

TYPED_TEST(BlasTyped, BuiltinResultsDoNotDependOnThreads) {
  using T = TypeParam;
  Random random(5);
  Dense<T> a(130, 300, &random), b(210, 300, &random), one(130, 210), many(130, 210);
  for (auto [threads, c] : {std::pair(1, &one), std::pair(5, &many)})
    Blas::builtin(threads).gemm(T(1), a.ref(), Transpose::No, b.ref(), Transpose::Yes, T(0),
                                c->ref());
  EXPECT_EQ(one.values, many.values);
}

TYPED_TEST(BlasTyped, Syrk) {
  using T = TypeParam;
  Random random(2);
  for (const Blas &blas : this->libraries())
    for (const Transpose op : kOps)
      for (const Triangle triangle : kTriangles) {
        const int64_t n = 203, k = 30;
        Dense<T> a(op == Transpose::Yes ? k : n, op == Transpose::Yes ? n : k, &random);
        Dense<T> c(n, n, &random), before = c;
        blas.syrk(triangle, T(0.5), a.ref(), op, T(2), c.ref());
        EXPECT_TRUE(c.gapUntouched());
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double want = before.ref().at(i, j);
            if (inTriangle(triangle, i, j)) {
              want *= 2;
              for (int64_t p = 0; p < k; ++p)
                want += 0.5 * element(a.ref(), op, i, p) * element(a.ref(), op, j, p);
            }
            ASSERT_NEAR(c.ref().at(i, j), want, this->kTolerance * double(k)) << blas.name();
          }
      }
}

TYPED_TEST(BlasTyped, TriangularSolve) {
  using T = TypeParam;
  Random random(3);
  const int64_t n = 131, lines = 9;
  for (const Blas &blas : this->libraries())
    for (const Side side : {Side::Left, Side::Right})
      for (const Triangle triangle : kTriangles)
        for (const Transpose op : kOps) {
          Dense<T> t(n, n);
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j)
              if (inTriangle(triangle, i, j))
                t.ref().at(i, j) = i == j ? T(2) : T(random.normal() / float(n));
          const bool left = side == Side::Left;
          Dense<T> x(left ? n : lines, left ? lines : n, &random), before = x;
          blas.trsm(side, triangle, op, T(3), t.ref(), x.ref());
          for (int64_t i = 0; i < x.rows; ++i)
            for (int64_t j = 0; j < x.columns; ++j) {
              double sum = 0;
              for (int64_t p = 0; p < n; ++p) {
                const int64_t ti = left ? i : p, tj = left ? p : j;
                const bool there = op == Transpose::Yes ? inTriangle(triangle, tj, ti)
                                                        : inTriangle(triangle, ti, tj);
                if (there)
                  sum +=
                      element(t.ref(), op, ti, tj) * (left ? x.ref().at(p, j) : x.ref().at(i, p));
              }
              ASSERT_NEAR(sum, 3 * double(before.ref().at(i, j)), this->kTolerance * 100)
                  << blas.name();
            }
        }
}

TYPED_TEST(BlasTyped, CholeskyAndInverse) {
  using T = TypeParam;
  Random random(4);
  const int64_t n = 150;
  for (const Blas &blas : this->libraries())
    for (const Triangle triangle : kTriangles) {
      Dense<T> a = this->positive(n, triangle, random), factor = a;
      ASSERT_EQ(blas.potrf(triangle, factor.ref()), 0);
      Dense<T> inverse = factor;
      ASSERT_EQ(blas.potri(triangle, inverse.ref()), 0);
      const auto at = [&](Dense<T> &m, int64_t i, int64_t j) -> double {
        return inTriangle(triangle, i, j) ? m.ref().at(i, j) : m.ref().at(j, i);
      };
      const auto factorAt = [&](int64_t i, int64_t p) -> double { // of L, or U transposed
        return p > i                         ? 0
               : triangle == Triangle::Lower ? factor.ref().at(i, p)
                                             : factor.ref().at(p, i);
      };
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double product = 0, identity = 0;
          for (int64_t p = 0; p < n; ++p) {
            product += factorAt(i, p) * factorAt(j, p);
            identity += at(a, i, p) * at(inverse, p, j);
          }
          ASSERT_NEAR(product, at(a, i, j), this->kTolerance * 4 * double(n)) << blas.name();
          ASSERT_NEAR(identity, i == j ? 1 : 0, this->kTolerance * 20) << blas.name();
          if (!inTriangle(triangle, i, j)) {
            ASSERT_EQ(factor.ref().at(i, j), T(kMark)) << blas.name();
            ASSERT_EQ(inverse.ref().at(i, j), T(kMark)) << blas.name();
          }
        }
    }
}

TYPED_TEST(BlasTyped, CholeskyFindsTheBadPivot) {
  using T = TypeParam;
  Random random(6);
  for (const Blas &blas : this->libraries())
    for (const Triangle triangle : kTriangles) {
      Dense<T> negative = this->positive(120, triangle, random);
      Dense<T> notANumber = negative;
      negative.ref().at(100, 100) = T(-1);
      EXPECT_EQ(blas.potrf(triangle, negative.ref()), 101) << blas.name();
      notANumber.ref().at(70, 70) = std::numeric_limits<T>::quiet_NaN();
      EXPECT_EQ(blas.potrf(triangle, notANumber.ref()), 71) << blas.name();
      std::vector<T> singular = {T(0)};
      EXPECT_EQ(blas.potri(triangle, MatrixRef<T>(singular.data(), 1, 1)), 1) << blas.name();
    }
}

TEST(Blas, SaysWhyOpenBlasIsNotThere) {
  const Result<Blas> absent = Blas::openblas("libopenblas-that-is-not-there.so");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.status().code(), Code::NotFound);
  EXPECT_NE(absent.status().message().find("libopenblas-that-is-not-there.so"), std::string::npos);
  const Result<Blas> other = Blas::openblas("libc.so.6");
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.status().message().find("libc.so.6 has no cblas_sgemm"), std::string::npos);
  EXPECT_EQ(Blas::builtin().name(), "built-in");
}

} // namespace
} // namespace gptqc
