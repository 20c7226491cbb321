// Device facts, memory, streams, graphs and modules on the fake driver.
#include "runtime/device/Device.h"

#include <cstring>
#include <numeric>

#include "runtime/device/DeviceBuffer.h"
#include "runtime/device/Module.h"
#include "runtime/device/Stream.h"
#include "tests/runtime/device/FakeDevice.h"

namespace gptqc {
namespace {

TEST(ShortDeviceName, KeepsTheModel) {
  EXPECT_EQ(shortDeviceName("NVIDIA H200"), "h200");
  EXPECT_EQ(shortDeviceName("NVIDIA H100 80GB HBM3"), "h100");
  EXPECT_EQ(shortDeviceName("NVIDIA A100-SXM4-80GB"), "a100");
  EXPECT_EQ(shortDeviceName("NVIDIA GeForce RTX 4090"), "rtx4090");
  EXPECT_EQ(shortDeviceName("NVIDIA GeForce RTX 3090 Ti"), "rtx3090ti");
  EXPECT_EQ(shortDeviceName("Tesla T4"), "t4");
  EXPECT_EQ(shortDeviceName("NVIDIA GH200 480GB"), "gh200");
  EXPECT_EQ(shortDeviceName("NVIDIA"), "");
}

TEST_F(FakeDevice, Facts) {
  const DeviceInfo &info = device->info();
  EXPECT_EQ(info.target.print(), "sm_90a h200 sms132");
  EXPECT_EQ(*Target::parse(info.target.print()), info.target);
  EXPECT_EQ(info.l2Bytes, 62914560);
  EXPECT_EQ(info.maxSharedBytes, 232448);
  EXPECT_EQ(info.memoryBytes, int64_t(1) << 37);
  EXPECT_NEAR(info.memoryBandwidth, 4.917e12, 1e9);
  EXPECT_EQ(*device->freeBytes(), int64_t(1) << 36);
}

TEST_F(FakeDevice, TargetOfOtherGpus) {
  const auto archOf = [&](int major, int minor) {
    fake.major = major;
    fake.minor = minor;
    const auto opened = Device::open(*DriverApi::load(FAKE_DRIVER), 0);
    return opened.ok() ? opened->target().arch() : opened.status().message();
  };
  EXPECT_EQ(archOf(7, 5), "sm_75");
  EXPECT_EQ(archOf(8, 0), "sm_80");
  EXPECT_EQ(archOf(8, 7), "sm_86");
  EXPECT_EQ(archOf(10, 3), "sm_100");
  EXPECT_EQ(archOf(12, 1), "sm_120");
  EXPECT_NE(archOf(7, 0).find("compute capability 7.0"), std::string::npos);
}

TEST_F(FakeDevice, OrdinalOutOfRange) {
  const auto opened = Device::open(*DriverApi::load(FAKE_DRIVER), 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), Code::InvalidArgument);
  EXPECT_EQ(opened.status().message(), "GPU 1: CUDA shows 1 here, counted from 0");
}

TEST_F(FakeDevice, BufferRoundTrip) {
  std::vector<uint16_t> values(1000);
  std::iota(values.begin(), values.end(), uint16_t(7));
  auto buffer = DeviceBuffer::upload(*device, values);
  ASSERT_TRUE(buffer.ok()) << buffer.status().message();
  EXPECT_EQ(buffer->address() % 256, 0u);
  EXPECT_EQ(*buffer->download<uint16_t>(), values);
  const uint16_t patch[] = {1, 2};
  ASSERT_TRUE(buffer->write(patch, 4, 10).ok());
  EXPECT_EQ((*buffer->download<uint16_t>())[6], 2);

  DeviceBuffer moved = std::move(*buffer);
  EXPECT_EQ(buffer->address(), 0u);
  EXPECT_EQ(moved.bytes(), 2000);
  moved = *DeviceBuffer::allocateZeroed(*device, 64);
  EXPECT_EQ(*moved.download<uint8_t>(), std::vector<uint8_t>(64, 0));
}

TEST_F(FakeDevice, BufferRangesAreChecked) {
  auto buffer = DeviceBuffer::allocate(*device, 16);
  ASSERT_TRUE(buffer.ok());
  uint8_t bytes[32] = {};
  EXPECT_EQ(buffer->write(bytes, 17).code(), Code::InvalidArgument);
  EXPECT_EQ(buffer->write(bytes, 8, 9).code(), Code::InvalidArgument);
  EXPECT_EQ(buffer->read(bytes, 1, -1).code(), Code::InvalidArgument);
  EXPECT_EQ(buffer->read(bytes, INT64_MAX, 1).code(), Code::InvalidArgument);
  EXPECT_TRUE(buffer->read(bytes, 0, 16).ok());
  EXPECT_EQ(DeviceBuffer::allocate(*device, -1).status().code(), Code::InvalidArgument);
  EXPECT_EQ(DeviceBuffer::allocate(*device, 0)->address(), 0u);
}

TEST_F(FakeDevice, OutOfMemorySaysHowMuch) {
  fake.failing = "cuMemAlloc_v2";
  fake.failure = 2;
  const auto buffer = DeviceBuffer::allocate(*device, 12345);
  ASSERT_FALSE(buffer.ok());
  EXPECT_EQ(buffer.status().message(),
            "device memory, 12345 bytes: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; free device "
            "memory or use a smaller size");
}

TEST_F(FakeDevice, EventsMeasure) {
  auto stream = Stream::create(*device);
  auto start = Event::create(*device), stop = Event::create(*device);
  ASSERT_TRUE(stream.ok() && start.ok() && stop.ok());
  ASSERT_TRUE(start->record(*stream).ok() && stop->record(*stream).ok() &&
              stop->synchronize().ok());
  EXPECT_EQ(*stop->millisecondsSince(*start), 1.5f);
  fake.failing = "cuStreamSynchronize";
  fake.failure = 700;
  EXPECT_EQ(stream->synchronize().code(), Code::DeviceError);
}

TEST_F(FakeDevice, GraphsCaptureAndReplay) {
  auto stream = Stream::create(*device);
  ASSERT_TRUE(stream.ok());
  bool wasCapturing = false;
  auto graph = Graph::capture(*stream, [&] {
    wasCapturing = fake.capturing;
    return Status();
  });
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_TRUE(wasCapturing);
  EXPECT_TRUE(graph->launch(*stream).ok());
  EXPECT_EQ(fake.graphLaunches, 1);
}

TEST_F(FakeDevice, AFailedCaptureEndsTheCapture) {
  auto stream = Stream::create(*device);
  ASSERT_TRUE(stream.ok());
  const auto graph = Graph::capture(*stream, [] { return invalidArgument("no such layer"); });
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().message(), "no such layer");
  EXPECT_FALSE(fake.capturing);
}

TEST_F(FakeDevice, AnImageForAnotherGpuIsNamed) {
  KernelImage image;
  image.descriptor = "w4 g128 sym f16->f16 n64 k128 m1";
  image.target = "sm_120";
  image.compiler = "nvrtc 13.0";
  EXPECT_EQ(Module::load(*device, image).status().code(), Code::InvalidArgument);
  image.cubin = {1};
  fake.failing = "cuModuleLoadData";
  fake.failure = 209;
  const std::string message = Module::load(*device, image).status().message();
  EXPECT_NE(message.find("built for sm_120 by nvrtc 13.0"), std::string::npos) << message;
  EXPECT_NE(message.find("compile for sm_90a"), std::string::npos) << message;
}

TEST_F(FakeDevice, SharedMemoryIsOptedInToAndLimited) {
  KernelImage image;
  image.cubin = {1};
  const auto module = Module::load(*device, image);
  ASSERT_TRUE(module.ok());
  EXPECT_TRUE(module->function("k", 48 * 1024).ok());
  EXPECT_EQ(fake.maxDynamicShared, 0);
  const auto function = module->function("k", 100000);
  ASSERT_TRUE(function.ok());
  EXPECT_EQ(fake.maxDynamicShared, 100000);
  EXPECT_EQ(*function->registers(), 64);
  EXPECT_EQ(module->function("k", 300000).status().code(), Code::Unsupported);
  const auto stream = Stream::create(*device);
  EXPECT_EQ(function->launch({1, 65536, 1}, 32, nullptr, *stream).code(), Code::InvalidArgument);
  EXPECT_EQ(function->launch({0, 1, 1}, 32, nullptr, *stream).code(), Code::InvalidArgument);
}

} // namespace
} // namespace gptqc
