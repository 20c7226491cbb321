// Packed weights stand for the same matrix as the codes that they were packed from.
#include "runtime/cpu/Dequantize.h"

#include <gtest/gtest.h>

#include "runtime/cpu/Synthetic.h"
#include "tests/support/Cases.h"

using namespace gptqc;

TEST(Dequantize, PackedWeightsAreThoseOfTheCodes) {
  for (const Descriptor &descriptor : gptqc::fixtures::smallCases()) {
    const Result<QuantizedMatrix> matrix = syntheticLayer(descriptor, 5, 1);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    const Matrix plain = dequantize(*matrix), packed = dequantize(packWeights(*matrix));
    EXPECT_EQ(plain.values, packed.values) << descriptor.print();
  }
}
