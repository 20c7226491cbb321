// What is said when there is no driver, an old one, or no GPU.
#include "runtime/device/DriverApi.h"

#include "tests/runtime/device/FakeDevice.h"

namespace gptqc {
namespace {

std::string messageOf(const std::string &library) {
  const auto driver = DriverApi::load(library);
  EXPECT_FALSE(driver.ok());
  EXPECT_EQ(driver.status().code(), Code::DeviceError);
  return driver.status().message();
}

TEST(DriverApi, AbsentDriver) {
  EXPECT_EQ(messageOf("libgptqc-absent.so.1"),
            "no CUDA driver found (libgptqc-absent.so.1); install the NVIDIA driver");
}

TEST(DriverApi, EveryWayInGivesTheSameErrorWithoutDriver) {
  const auto driver = DriverApi::load();
  if (driver.ok())
    GTEST_SKIP() << "this machine has a CUDA driver";
  EXPECT_EQ(Device::count().status().message(), driver.status().message());
  EXPECT_EQ(Device::open(0).status().message(), driver.status().message());
  EXPECT_EQ(Device::open(0).status().code(), Code::DeviceError);
}

TEST(DriverApi, ALibraryThatIsNoDriver) {
  EXPECT_NE(messageOf("libm.so.6").find("has no cuInit"), std::string::npos);
}

TEST(DriverApi, OldDriverNamesTheSymbol) {
  const std::string message = messageOf(FAKE_OLD_DRIVER);
  EXPECT_NE(message.find("has no cuGraphInstantiateWithFlags"), std::string::npos) << message;
  EXPECT_NE(message.find("update the driver to 525"), std::string::npos) << message;
}

TEST(DriverApi, OldDriverNamesItsVersion) {
  fakeState() = FakeState();
  fakeState().version = 11040;
  const std::string message = messageOf(FAKE_DRIVER);
  EXPECT_NE(message.find("supports CUDA 11.4;"), std::string::npos) << message;
}

TEST(DriverApi, InitializationErrors) {
  fakeState() = FakeState();
  fakeState().failing = "cuInit";
  fakeState().failure = 100;
  EXPECT_NE(messageOf(FAKE_DRIVER).find("finds no GPU"), std::string::npos);
  fakeState().failure = 34;
  EXPECT_NE(messageOf(FAKE_DRIVER).find("stub"), std::string::npos);
  fakeState().failure = 803;
  EXPECT_NE(messageOf(FAKE_DRIVER).find("different versions"), std::string::npos);
  fakeState().failure = 999;
  EXPECT_EQ(messageOf(FAKE_DRIVER), "cuInit: CUDA_ERROR_FAKE (999): a made-up failure");
}

} // namespace
} // namespace gptqc
