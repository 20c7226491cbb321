// Cublas on a cuBLAS that computes on the host: what is handed over transposed comes out right.
#include "runtime/device/Cublas.h"

#include <random>

#include "tests/runtime/device/FakeDevice.h"

namespace gptqc {
namespace {

class CublasTest : public FakeDevice {
protected:
  void SetUp() override {
    FakeDevice::SetUp();
    stream.emplace(*Stream::create(*device));
    auto opened = Cublas::open(*stream, FAKE_CUBLAS);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    blas.emplace(*opened);
  }
  void TearDown() override {
    blas.reset();
    stream.reset();
    FakeDevice::TearDown();
  }
  std::vector<float> numbers(int64_t count) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(float(int(random() % 17) - 8));
    return values;
  }

  std::mt19937 random = std::mt19937(3);
  std::optional<Stream> stream;
  std::optional<Cublas> blas;
};

TEST_F(CublasTest, SubtractProductKeepsWhatLiesBetweenTheRows) {
  constexpr int64_t kM = 5, kN = 7, kK = 3, kStrideA = 4, kStrideB = 9, kStrideC = 8;
  const std::vector<float> a = numbers(kM * kStrideA), b = numbers(kK * kStrideB),
                           c = numbers(kM * kStrideC);
  const DeviceBuffer onA = *DeviceBuffer::upload(*device, a),
                     onB = *DeviceBuffer::upload(*device, b),
                     onC = *DeviceBuffer::upload(*device, c);
  ASSERT_TRUE(blas->subtractProduct({onA.address(), kM, kK, kStrideA},
                                    {onB.address(), kK, kN, kStrideB},
                                    {onC.address(), kM, kN, kStrideC})
                  .ok());
  std::vector<float> want = c;
  for (int64_t i = 0; i < kM; ++i)
    for (int64_t j = 0; j < kN; ++j)
      for (int64_t l = 0; l < kK; ++l)
        want[size_t(i * kStrideC + j)] -= a[size_t(i * kStrideA + l)] * b[size_t(l * kStrideB + j)];
  EXPECT_EQ(*onC.download<float>(), want);
}

TEST_F(CublasTest, SolveRightDividesByAnUpperTriangle) {
  constexpr int64_t kRows = 4, kN = 6;
  std::vector<float> u = numbers(kN * kN); // what lies below the diagonal is not read
  for (int64_t i = 0; i < kN; ++i)
    u[size_t(i * kN + i)] = 4;
  const std::vector<float> x = numbers(kRows * kN);
  std::vector<float> b(size_t(kRows * kN));
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t j = 0; j < kN; ++j)
      for (int64_t i = 0; i <= j; ++i)
        b[size_t(row * kN + j)] += x[size_t(row * kN + i)] * u[size_t(i * kN + j)];
  const DeviceBuffer onU = *DeviceBuffer::upload(*device, u),
                     onB = *DeviceBuffer::upload(*device, b);
  ASSERT_TRUE(blas->solveRight(kRows, kN, onU.address(), onB.address()).ok());
  EXPECT_EQ(*onB.download<float>(), x);
}

TEST_F(CublasTest, ALibraryWithoutTheSymbolsIsNamed) {
  const auto opened = Cublas::open(*stream, FAKE_DRIVER);
  EXPECT_EQ(opened.status().code(), Code::NotFound);
  EXPECT_NE(opened.status().message().find("no symbol cublasCreate_v2; use cuBLAS 12 or 13"),
            std::string::npos)
      << opened.status().message();
}

} // namespace
} // namespace gptqc
