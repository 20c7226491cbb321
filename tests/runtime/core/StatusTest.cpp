// Status, Result and the two macros that pass errors up.
#include "runtime/core/Status.h"

#include <memory>
#include <set>

#include <gtest/gtest.h>

namespace gptqc {
namespace {

TEST(Status, SuccessIsTheDefault) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().code(), Code::Ok);
  EXPECT_TRUE(Status().withContext("layer").ok());
}

TEST(Status, CarriesCodeAndText) {
  const Status status = makeError(Code::NotFound, "{} of {}", 3, "x");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::NotFound);
  EXPECT_EQ(status.message(), "3 of x");
  const Status outer = status.withContext("model.safetensors");
  EXPECT_EQ(outer.code(), Code::NotFound);
  EXPECT_EQ(outer.message(), "model.safetensors: 3 of x");
  EXPECT_EQ(outer.withContext("model.safetensors").message(), outer.message());
  EXPECT_EQ(outer.withContext("m").message(), "m: model.safetensors: 3 of x");
}

TEST(Status, CodeNamesAreStable) {
  const char *names[] = {"ok",           "invalid_argument", "unsupported",
                         "not_found",    "compile_failed",   "device_error",
                         "data_corrupt", "io_error",         "internal"};
  std::set<std::string_view> seen;
  for (int i = 0; i < int(std::size(names)); ++i) {
    EXPECT_EQ(codeName(Code(i)), names[i]);
    EXPECT_TRUE(seen.insert(codeName(Code(i))).second);
  }
}

Result<int> half(int value) {
  if (value % 2 != 0)
    return invalidArgument("{} is odd", value);
  return value / 2;
}

Status quarterInto(int value, int &out) {
  GPTQC_ASSIGN(const int once, half(value));
  GPTQC_ASSIGN(out, half(once));
  return Status();
}

Status twice(int value, int &out) {
  GPTQC_TRY(quarterInto(value, out));
  out *= 2;
  return Status();
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = half(6);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 3);
  EXPECT_TRUE(good.status().ok());
  const Result<int> bad = half(7);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(), "7 is odd");
}

TEST(Result, MacrosPassTheFirstErrorUp) {
  int out = 0;
  EXPECT_TRUE(twice(12, out).ok());
  EXPECT_EQ(out, 6);
  EXPECT_EQ(twice(6, out).message(), "3 is odd");
  EXPECT_EQ(out, 6) << "nothing is assigned on failure";
}

TEST(Result, MovesOutOwningValues) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 5);
}

} // namespace
} // namespace gptqc
