// A test fixture that opens a Device on the fake driver and checks that nothing is left alive.
#ifndef GPTQC_TESTS_RUNTIME_DEVICE_FAKEDEVICE_H
#define GPTQC_TESTS_RUNTIME_DEVICE_FAKEDEVICE_H

#include <cstdlib>
#include <optional>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "runtime/device/Device.h"
#include "tests/runtime/device/FakeDriver.h"

namespace gptqc {

/// The fake driver's state; the library is the one that DriverApi::load opens.
inline FakeState &fakeState() {
  void *library = dlopen(FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    std::abort();
  return *reinterpret_cast<FakeState *(*)()>(dlsym(library, "fakeDriverState"))();
}

class FakeDevice : public ::testing::Test {
protected:
  void SetUp() override {
    fake = FakeState();
    auto driver = DriverApi::load(FAKE_DRIVER);
    ASSERT_TRUE(driver.ok()) << driver.status().message();
    auto opened = Device::open(*driver, 0);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    device.emplace(*opened);
  }
  void TearDown() override {
    EXPECT_EQ(fake.allocations, 0);
    EXPECT_EQ(fake.modules, 0);
    EXPECT_EQ(fake.streams, 0);
    EXPECT_EQ(fake.events, 0);
    EXPECT_EQ(fake.graphs, 0);
  }

  FakeState &fake = fakeState();
  std::optional<Device> device;
};

} // namespace gptqc

#endif // GPTQC_TESTS_RUNTIME_DEVICE_FAKEDEVICE_H
