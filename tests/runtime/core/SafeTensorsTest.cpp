// Headers that lie, and files that are cut short: each is refused with the reason.
#include "runtime/core/SafeTensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "runtime/core/SafeTensorsWriter.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using gptqc::fixtures::readText;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;

namespace {

std::string fileWith(const std::string &header, size_t dataBytes) {
  uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(dataBytes, 'x');
}

struct Hostile {
  const char *name;
  std::string content;
  const char *says; ///< part of the message
};

class HostileFile : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileFile, IsRefused) {
  const TempFolder folder;
  writeText(folder / "model.safetensors", GetParam().content);
  const auto file = SafeTensorsFile::open(folder / "model.safetensors");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::DataCorrupt);
  const std::string message = file.status().message();
  EXPECT_NE(message.find(GetParam().says), std::string::npos) << message;
  EXPECT_NE(message.find("model.safetensors"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 800u);
}

std::string one(const std::string &type, const std::string &shape, const std::string &offsets) {
  return R"({"t":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

const std::string kLengthMax(8, '\xff');
const Hostile kHostile[] = {
    {"empty", "", "too few"},
    {"short", "1234567", "too few"},
    {"lengthHuge", kLengthMax + "{}", "above the"},
    {"lengthPastEnd", std::string("\x10\0\0\0\0\0\0\0{}", 10), "ends after"},
    {"noJson", fileWith("hello", 0), "no JSON object"},
    {"array", fileWith("[]", 0), "no JSON object"},
    {"truncatedJson", fileWith(R"({"t":{"dtype":"F16")", 0), "no JSON object"},
    {"invalidUtf8", fileWith("{\"\xff\xfe\":{}}", 0), "no JSON object"},
    {"deep", fileWith(std::string(200000, '['), 0), "no JSON object"},
    {"entryNoObject", fileWith(R"({"t":3})", 0), "no object"},
    {"missingField", fileWith(R"({"t":{"dtype":"F16","shape":[1]}})", 2), "needs dtype"},
    {"threeOffsets", fileWith(one("F16", "[1]", "[0,2,4]"), 2), "two data_offsets"},
    {"unknownType", fileWith(one("F17", "[1]", "[0,2]"), 2), "unknown dtype 'F17'"},
    {"negativeSize", fileWith(one("F16", "[-1]", "[0,2]"), 2), "no list of sizes"},
    {"fractionalSize", fileWith(one("F16", "[1.5]", "[0,2]"), 2), "no list of sizes"},
    {"overflow", fileWith(one("F32", "[4294967296,4294967296,16]", "[0,4]"), 4), "larger than any"},
    {"sizeAboveInt64", fileWith(one("U8", "[18446744073709551615]", "[0,4]"), 4),
     "no list of sizes"},
    {"wrongBytes", fileWith(one("F16", "[3]", "[0,4]"), 4), "needs 6 bytes"},
    {"halfByte", fileWith(one("F4", "[3]", "[0,1]"), 1), "needs 2 bytes"},
    {"pastEnd", fileWith(one("F16", "[4]", "[0,8]"), 6), "truncated"},
    {"backwards", fileWith(one("F16", "[1]", "[2,0]"), 2), "outside"},
    {"negativeOffset", fileWith(one("F16", "[1]", "[-2,0]"), 2), "no byte offsets"},
    {"hole", fileWith(one("F16", "[1]", "[2,4]"), 4), "belong to no tensor"},
    {"trailing", fileWith(one("F16", "[1]", "[0,2]"), 10), "the file holds 10"},
    {"overlap",
     fileWith(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
              6),
     "overlaps"},
    {"sameRange",
     fileWith(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
              4),
     "overlaps"},
    {"duplicateName",
     fileWith(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
              R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
              4),
     "'a' twice"},
    {"duplicateField",
     fileWith(R"({"a":{"dtype":"U8","dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4),
     "'dtype' twice"},
    {"metadataNoObject", fileWith(R"({"__metadata__":[]})", 0), "__metadata__"},
    {"metadataNumber", fileWith(R"({"__metadata__":{"a":1}})", 0), "no string"},
    {"longName", fileWith("{\"" + std::string(5000, 'n') + "\\n\":{\"dtype\":\"F16\"}}", 0),
     "nnn..."},
    {"controlName", fileWith("{\"a\\nb\\u0001\":3}", 0), "a\\x0ab\\x01"},
};
INSTANTIATE_TEST_SUITE_P(All, HostileFile, ::testing::ValuesIn(kHostile),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(SafeTensors, MissingFileAndFolder) {
  const TempFolder folder;
  EXPECT_EQ(SafeTensorsFile::open(folder / "none").status().code(), Code::NotFound);
  EXPECT_EQ(SafeTensorsFile::open(folder.path()).status().code(), Code::IoError);
}

TEST(SafeTensors, ReadsNamesTypesAndMetadata) {
  const TempFolder folder;
  writeText(folder / "f", fileWith(R"({"__metadata__":{"format":"pt"},)"
                                   R"("b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},)"
                                   R"("a":{"dtype":"I32","shape":[],"data_offsets":[0,4]},)"
                                   R"("e":{"dtype":"F8_E4M3","shape":[0,7],"data_offsets":[4,4]}})",
                                   16));
  const auto file = SafeTensorsFile::open(folder / "f");
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ((*file)->tensors().size(), 3u);
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  const TensorInfo *b = (*file)->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->print(), "F16 [2,3]");
  EXPECT_EQ(b->elements(), 6);
  EXPECT_EQ((*file)->bytes(*b).size(), 12u);
  EXPECT_EQ((*file)->find("a")->elements(), 1);
  EXPECT_EQ((*file)->find("e")->bytes, 0u);
  EXPECT_EQ((*file)->find("c"), nullptr);
}

const std::vector<TensorPlan> kPlan = {{"half", ElementType::F16, {3}},
                                       {"word", ElementType::I32, {2}},
                                       {"none", ElementType::F16, {0}}};

Status writeSample(const std::filesystem::path &path, bool reversed) {
  GPTQC_ASSIGN(auto writer, SafeTensorsWriter::create(path, kPlan, {{"format", "pt"}}));
  const std::vector<uint16_t> half = {1, 2, 3};
  const std::vector<int32_t> word = {-1, 70000};
  if (!reversed)
    GPTQC_TRY(writer->write("half", bytesOf(half)));
  GPTQC_TRY(writer->write("word", bytesOf(word)));
  GPTQC_TRY(writer->write("none", {}));
  if (reversed)
    GPTQC_TRY(writer->write("half", bytesOf(half)));
  return writer->finish();
}

TEST(SafeTensorsWriter, RoundTripsAndIsDeterministic) {
  const TempFolder folder;
  ASSERT_TRUE(writeSample(folder / "a", false).ok());
  ASSERT_TRUE(writeSample(folder / "b", true).ok());
  EXPECT_EQ(readText(folder / "a"), readText(folder / "b"));
  const auto file = SafeTensorsFile::open(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status().message();
  const TensorInfo *word = (*file)->find("word");
  EXPECT_EQ(word->begin, 0u) << "the widest type comes first";
  int32_t values[2];
  std::memcpy(values, (*file)->bytes(*word).data(), 8);
  EXPECT_EQ(values[1], 70000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*file)->bytes(*word).data()) % 8, 0u);
}

TEST(SafeTensorsWriter, NothingAppearsUnlessFinished) {
  const TempFolder folder;
  {
    auto writer = SafeTensorsWriter::create(folder / "a", kPlan, {});
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE((*writer)->write("none", {}).ok());
    EXPECT_EQ((*writer)->write("none", {}).code(), Code::Internal) << "written twice";
    EXPECT_EQ((*writer)->write("half", {}).code(), Code::Internal) << "wrong size";
    EXPECT_EQ((*writer)->write("other", {}).code(), Code::Internal) << "not planned";
    EXPECT_EQ((*writer)->finish().code(), Code::Internal) << "half was never written";
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafeTensorsWriter, NamesTheFolderThatIsNotThere) {
  const TempFolder folder;
  const auto writer = SafeTensorsWriter::create(folder / "no/model.safetensors", kPlan, {});
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.status().code(), Code::IoError);
  EXPECT_NE(writer.status().message().find("no/model.safetensors"), std::string::npos);
}

} // namespace
