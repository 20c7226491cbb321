// On a GPU: the repack kernels give the bytes of the host packer, for every width, source and kind
// of layer; and memory, graphs and events work on the real driver. Skipped without a GPU, except
// with GPTQC_REQUIRE_GPU set.
#include <cstdlib>
#include <optional>

#include <gtest/gtest.h>

#include "compiler/jit/NvrtcCompiler.h"
#include "runtime/checkpoint/GptqWords.h"
#include "runtime/cpu/Synthetic.h"
#include "runtime/device/DeviceLayer.h"
#include "templates/Templates.h"

namespace gptqc {
namespace {

class RepackGpu : public testing::Test {
protected:
  void SetUp() override {
    auto opened = Device::open(0);
    if (!opened.ok()) {
      if (std::getenv("GPTQC_REQUIRE_GPU"))
        FAIL() << opened.status().message();
      GTEST_SKIP() << opened.status().message();
    }
    device.emplace(*opened);
    const auto compiler = NvrtcCompiler::open({});
    ASSERT_TRUE(compiler.ok()) << compiler.status().message();
    NvrtcRequest request;
    request.source = findTemplate(RepackKernels::kFile).text;
    request.name = RepackKernels::kFile;
    request.target = device->target();
    const auto output = (*compiler)->compile(request);
    ASSERT_TRUE(output.ok()) << output.status().message();
    KernelImage image;
    image.cubin = output->cubin;
    image.target = device->target().print();
    image.compiler = (*compiler)->version();
    auto loaded = RepackKernels::load(*device, image);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    kernels.emplace(*loaded);
  }

  static void expectSame(const Result<DeviceLayer> &layer, const PackedWeights &want,
                         const std::string &what) {
    ASSERT_TRUE(layer.ok()) << what << ": " << layer.status().message();
    const auto got = layer->download();
    ASSERT_TRUE(got.ok()) << what << ": " << got.status().message();
    EXPECT_TRUE(got->weights == want.weights) << what << ": weights";
    EXPECT_TRUE(got->scales == want.scales) << what << ": scales";
    EXPECT_TRUE(got->zeros == want.zeros) << what << ": zeros";
    EXPECT_TRUE(got->perm == want.perm) << what << ": perm";
    EXPECT_TRUE(got->groupOf == want.groupOf) << what << ": groupOf";
    EXPECT_TRUE(got->bias == want.bias) << what << ": bias";
  }

  std::optional<Device> device;
  std::optional<RepackKernels> kernels;
};

TEST_F(RepackGpu, CodesGiveTheBytesOfTheHostPacker) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const char *rest :
         {"g128 sym f16->f16 n256 k512 m1..", "g64 asym f16->f16 n200 k320 m1..",
          "g32 asym actorder bf16->bf16 n72 k448 m1.. bias", "g-1 sym f16->f16 n48 k100 m1..",
          "g128 asym f16->f16 n128 k300 m1..", "g24 sym f16->f16 n65 k120 m1..",
          "g64 asym actorder ragged f16->f16 n96 k640 m1..",
          "g128 asym f16->f16 n160 k256 m1.. silu_mul"}) {
      const std::string text = fmt::format("w{} {}", bits, rest);
      const auto descriptor = Descriptor::parse(text);
      ASSERT_TRUE(descriptor.ok()) << descriptor.status().message();
      const auto matrix = syntheticLayer(*descriptor, uint64_t(bits));
      ASSERT_TRUE(matrix.ok()) << text << ": " << matrix.status().message();
      expectSame(DeviceLayer::fromCodes(*device, *kernels, *matrix), packWeights(*matrix), text);
    }
}

TEST_F(RepackGpu, WordsGiveTheBytesOfTheHostPacker) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const Packing packing : {Packing::Continuous, Packing::Planar}) {
      if (packing == Packing::Continuous && (bits == 5 || bits == 6 || bits == 7))
        continue; // no file packs these so
      const std::string text = fmt::format("w{} g64 asym actorder f16->f16 n96 k256 m1..", bits);
      auto matrix = syntheticLayer(*Descriptor::parse(text), 5);
      ASSERT_TRUE(matrix.ok()) << matrix.status().message();
      const PackedWeights want = packWeights(*matrix);
      const auto words = packRows(packing, bits, 256, 96, matrix->codes);
      matrix->codes.clear();
      expectSame(DeviceLayer::fromWords(*device, *kernels, *matrix, words,
                                        packing == Packing::Planar ? WordPacking::Planar
                                                                   : WordPacking::Continuous),
                 want, fmt::format("{} {}", text, packingName(packing)));
    }
}

TEST_F(RepackGpu, GraphsReplayAndEventsMeasure) {
  auto stream = Stream::create(*device);
  ASSERT_TRUE(stream.ok()) << stream.status().message();
  auto buffer = DeviceBuffer::allocateZeroed(*device, 1 << 20);
  ASSERT_TRUE(buffer.ok());
  auto graph = Graph::capture(*stream, [&] { return buffer->fill16(0x1234, *stream); });
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ((*buffer->download<uint16_t>())[7], 0) << "a captured fill must not run";
  auto start = Event::create(*device), stop = Event::create(*device);
  ASSERT_TRUE(start.ok() && stop.ok());
  ASSERT_TRUE(start->record(*stream).ok());
  ASSERT_TRUE(graph->launch(*stream).ok());
  ASSERT_TRUE(stop->record(*stream).ok());
  ASSERT_TRUE(stop->synchronize().ok());
  const auto elapsed = stop->millisecondsSince(*start);
  ASSERT_TRUE(elapsed.ok()) << elapsed.status().message();
  EXPECT_GT(*elapsed, 0);
  EXPECT_EQ(*buffer->download<uint16_t>(), std::vector<uint16_t>(1 << 19, 0x1234));

  const auto failed = Graph::capture(*stream, [] { return invalidArgument("refused"); });
  EXPECT_EQ(failed.status().message(), "refused");
  EXPECT_TRUE(buffer->fill(0, *stream).ok()) << "the stream is usable after a failed capture";
  EXPECT_TRUE(stream->synchronize().ok());
}

TEST_F(RepackGpu, DeviceFacts) {
  const DeviceInfo &info = device->info();
  EXPECT_EQ(*Target::parse(info.target.print()), info.target) << info.target.print();
  EXPECT_GT(info.memoryBytes, int64_t(1) << 30);
  EXPECT_GE(info.maxSharedBytes, 64 * 1024);
  std::printf("%s: %s, %lld bytes, L2 %lld bytes, %.0f GB/s, driver %d\n", info.fullName.c_str(),
              info.target.print().c_str(), static_cast<long long>(info.memoryBytes),
              static_cast<long long>(info.l2Bytes), info.memoryBandwidth / 1e9, info.driverVersion);
  EXPECT_FALSE(DeviceBuffer::allocate(*device, info.memoryBytes * 2).ok());
  EXPECT_TRUE(DeviceBuffer::allocate(*device, 1024).ok()) << "usable after running out of memory";
}

TEST_F(RepackGpu, AnImageForAnotherGpuIsRefusedByName) {
  const auto compiler = NvrtcCompiler::open({});
  NvrtcRequest request;
  request.source = "extern \"C\" __global__ void k() {}";
  request.name = "k.cu";
  request.target = *Target::parse(device->target().capability == 120 ? "sm_90a" : "sm_120");
  const auto output = (*compiler)->compile(request);
  ASSERT_TRUE(output.ok()) << output.status().message();
  KernelImage image;
  image.cubin = output->cubin;
  image.target = request.target.print();
  const auto module = Module::load(*device, image);
  ASSERT_FALSE(module.ok());
  EXPECT_NE(module.status().message().find(device->info().fullName), std::string::npos)
      << module.status().message();
  image.cubin.resize(100);
  EXPECT_FALSE(Module::load(*device, image).ok());
}

} // namespace
} // namespace gptqc
