// Attention against plain loops in double, and the exponential under it.
#include "runtime/model/Attention.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "runtime/cpu/Random.h"
#include "runtime/model/Softmax.h"

namespace gptqc {
namespace {

Matrix randomMatrix(int64_t rows, int64_t columns, Random &random) {
  Matrix matrix(rows, columns);
  for (float &value : matrix.values)
    value = random.normal();
  return matrix;
}

double naive(const AttentionShape &shape, const Matrix &q, const Matrix &k, const Matrix &v,
             int64_t query, int64_t column) {
  const int64_t d = shape.headDim, head = column / d, position = k.rows - q.rows + query;
  const int64_t kvHead = head / (shape.heads / shape.kvHeads);
  double sum = 0, weighted = 0;
  for (int64_t key = 0; key <= position; ++key) {
    if (shape.window > 0 && key <= position - shape.window)
      continue;
    double score = 0;
    for (int64_t i = 0; i < d; ++i)
      score += double(q.ref().at(query, head * d + i)) * k.ref().at(key, kvHead * d + i);
    const double weight = std::exp(score / std::sqrt(double(d)));
    sum += weight;
    weighted += weight * v.ref().at(key, kvHead * d + column % d);
  }
  return weighted / sum;
}

TEST(Attention, MatchesPlainLoops) {
  Random random(3);
  for (const int64_t window : {0, 1, 20, 500})
    for (const auto &[queries, keys] :
         {std::pair(1, 1), std::pair(1, 130), std::pair(70, 70), std::pair(130, 200)}) {
      const AttentionShape shape = {4, 2, 10, window};
      const Matrix q = randomMatrix(queries, 40, random), k = randomMatrix(keys, 20, random),
                   v = randomMatrix(keys, 20, random);
      Matrix out(queries, 40);
      causalAttention(shape, q.ref(), k.ref(), v.ref(), out.ref(), 3);
      for (int64_t i = 0; i < queries; i += 3)
        for (int64_t j = 0; j < 40; ++j)
          ASSERT_NEAR(out.ref().at(i, j), naive(shape, q, k, v, i, j), 2e-6)
              << "window " << window << " queries " << queries << " keys " << keys;
    }
}

TEST(Softmax, Exponential) {
  for (float x = 0; x > -87; x -= 0.00731f) {
    const double want = std::exp(double(x));
    ASSERT_NEAR(expOfNegative(x), want, want * 2.4e-7) << x;
  }
  EXPECT_EQ(expOfNegative(0), 1);
  EXPECT_LT(expOfNegative(-1000), 1e-37f);
  EXPECT_LT(expOfNegative(-std::numeric_limits<float>::infinity()), 1e-37f);
  EXPECT_TRUE(std::isnan(expOfNegative(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Softmax, LargestAndSum) {
  Random random(9);
  for (const int64_t count : {1, 15, 16, 17, 1023, 3000}) {
    std::vector<float> values;
    double sum = 0;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(random.normal());
    const float largest = *std::max_element(values.begin(), values.end());
    for (const float value : values)
      sum += std::exp(double(value) - double(largest));
    EXPECT_EQ(largestOf(values.data(), count), largest);
    EXPECT_NEAR(exponentiate(values.data(), count, largest), sum, sum * 1e-6);
  }
}

} // namespace
} // namespace gptqc
