// CublasLt on a fake library: what it is asked for, what is cleaned up, and missing libraries.
#include "runtime/device/CublasLt.h"

#include "tests/runtime/device/FakeCublasLt.h"
#include "tests/runtime/device/FakeDevice.h"

namespace gptqc {
namespace {

FakeCublasState &fakeCublas() {
  void *library = dlopen(FAKE_CUBLASLT, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    std::abort();
  return *reinterpret_cast<FakeCublasState *(*)()>(dlsym(library, "fakeCublasState"))();
}

class CublasLtTest : public FakeDevice {
protected:
  void SetUp() override {
    FakeDevice::SetUp();
    cublas = FakeCublasState();
  }
  FakeCublasState &cublas = fakeCublas();
};

TEST_F(CublasLtTest, AsksForWTimesXTransposedInColumnMajorTerms) {
  {
    const auto library = CublasLt::open(*device, FAKE_CUBLASLT);
    ASSERT_TRUE(library.ok()) << library.status().message();
    const auto gemm = DenseGemm::create(*library, DType::BF16, 5, 64, 96);
    ASSERT_TRUE(gemm.ok()) << gemm.status().message();
    EXPECT_EQ(gemm->algorithms(), 2); // the unusable one is dropped
    ASSERT_EQ(cublas.matrices.size(), 3u);
    const auto expectMatrix = [&](size_t i, uint64_t rows, uint64_t columns) {
      EXPECT_EQ(cublas.matrices[i].type, 14); // CUDA_R_16BF
      EXPECT_EQ(cublas.matrices[i].rows, rows);
      EXPECT_EQ(cublas.matrices[i].columns, columns);
      EXPECT_EQ(cublas.matrices[i].leading, int64_t(rows));
    };
    expectMatrix(0, 96, 64);
    expectMatrix(1, 96, 5);
    expectMatrix(2, 64, 5);
    EXPECT_EQ(cublas.transposeA, 1);
    EXPECT_EQ(cublas.maxWorkspace, uint64_t(kCublasLtWorkspace));

    const auto stream = Stream::create(*device);
    const DeviceBuffer workspace;
    EXPECT_TRUE(gemm->run(1, 0x1000, 0x2000, 0x3000, workspace, *stream).ok());
    EXPECT_EQ(cublas.algorithm, 102u);
    EXPECT_EQ(uintptr_t(cublas.a), 0x1000u);
    EXPECT_EQ(uintptr_t(cublas.b), 0x2000u);
    EXPECT_EQ(uintptr_t(cublas.d), 0x3000u);
    cublas.failure = 13;
    const Status failed = gemm->run(0, 0x1000, 0x2000, 0x3000, workspace, *stream);
    EXPECT_EQ(failed.code(), Code::DeviceError);
    EXPECT_NE(failed.message().find("13"), std::string::npos);
  }
  EXPECT_EQ(cublas.alive, 0);
}

TEST_F(CublasLtTest, SaysWhenThereIsNoAlgorithm) {
  cublas.proposals = 0;
  const auto library = CublasLt::open(*device, FAKE_CUBLASLT);
  EXPECT_EQ(DenseGemm::create(*library, DType::F16, 5, 64, 96).status().code(), Code::Unsupported);
}

TEST_F(CublasLtTest, NamesAMissingLibraryAndAMissingSymbol) {
  const Status absent = CublasLt::open(*device, "/no/such/libcublasLt.so").status();
  EXPECT_EQ(absent.code(), Code::NotFound);
  EXPECT_NE(absent.message().find("/no/such/libcublasLt.so"), std::string::npos);
  const Status wrong = CublasLt::open(*device, "libm.so.6").status();
  EXPECT_EQ(wrong.code(), Code::NotFound);
  EXPECT_NE(wrong.message().find("cublasLtCreate"), std::string::npos);
}

} // namespace
} // namespace gptqc
