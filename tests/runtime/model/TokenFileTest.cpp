// Token ids from safetensors and npy files, good and bad ones.
#include "runtime/model/TokenFile.h"

#include "tests/runtime/model/ModelFolder.h"

namespace gptqc {
namespace {

using fixtures::expectError;

class TokenFile : public ::testing::Test {
protected:
  template <typename T>
  std::filesystem::path tensors(ElementType type, const std::vector<int64_t> &shape,
                                const std::vector<T> &values,
                                const std::vector<std::string> &names) {
    const std::filesystem::path path = folder / "tokens.safetensors";
    std::vector<TensorPlan> plan;
    for (const std::string &name : names)
      plan.push_back({name, type, shape});
    auto writer = SafeTensorsWriter::create(path, plan, {});
    EXPECT_TRUE(writer.ok());
    for (const std::string &name : names)
      EXPECT_TRUE((*writer)->write(name, bytesOf(values)).ok());
    EXPECT_TRUE((*writer)->finish().ok());
    return path;
  }

  std::filesystem::path npy(const std::string &header, const std::string &data, char version = 1) {
    const std::filesystem::path path = folder / "tokens.npy";
    const size_t lengthBytes = version == 1 ? 2 : 4;
    std::string text = "\x93NUMPY";
    text += version;
    text += '\0';
    for (size_t i = 0; i < lengthBytes; ++i)
      text += char(header.size() >> (8 * i) & 0xff);
    fixtures::writeText(path, text + header + data);
    return path;
  }

  static std::string bytes32(const std::vector<int32_t> &values) {
    return {reinterpret_cast<const char *>(values.data()), values.size() * 4};
  }

  fixtures::TempFolder folder;
};

constexpr const char *kHeader = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }   \n";

TEST_F(TokenFile, SafeTensors) {
  const std::vector<int32_t> ids = {5, 6, 7, 8, 9, 10};
  Result<TokenRows> rows =
      loadTokenRows(tensors(ElementType::I32, {2, 3}, ids, {"eval_ids", "input_ids"}), "eval_ids");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ(rows->rows, 2);
  EXPECT_EQ(rows->length, 3);
  EXPECT_EQ(rows->ids, ids);
  EXPECT_EQ(rows->part(1, 1)[0], 8);
  const std::vector<int64_t> wide = {1, 2};
  rows = loadTokenRows(tensors(ElementType::I64, {2}, wide, {"other"}), "eval_ids");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ(rows->rows, 1);
  EXPECT_EQ(rows->ids, (std::vector<int32_t>{1, 2}));
}

TEST_F(TokenFile, SafeTensorsThatHoldNoTokens) {
  const std::vector<int32_t> ids = {1, 2};
  expectError(loadTokenRows(tensors(ElementType::I32, {2}, ids, {"a", "b"}), "eval_ids").status(),
              Code::NotFound, "no tensor 'eval_ids'");
  expectError(loadTokenRows(tensors(ElementType::F32, {2}, ids, {"a"}), "eval_ids").status(),
              Code::NotFound, "it holds a F32 [2]");
  const std::vector<int32_t> none, negative = {3, -1};
  expectError(loadTokenRows(tensors(ElementType::I32, {0, 4}, none, {"a"}), "a").status(),
              Code::DataCorrupt, "it holds no tokens; its shape is [0,4]");
  expectError(loadTokenRows(tensors(ElementType::I32, {2}, negative, {"a"}), "a").status(),
              Code::DataCorrupt, "tensor 'a': -1 at position 1 is no token id");
  expectError(loadTokenRows(folder / "tokens.json", "a").status(), Code::Unsupported,
              "read from .safetensors or .npy");
  expectError(loadTokenRows(folder / "absent.npy", "a").status(), Code::NotFound, "absent.npy");
}

TEST_F(TokenFile, Npy) {
  for (const char version : {1, 2, 3}) {
    const Result<TokenRows> rows =
        loadTokenRows(npy(kHeader, bytes32({1, 2, 3, 4, 5, 6}), version), "");
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    EXPECT_EQ(rows->rows, 2);
    EXPECT_EQ(rows->ids, (std::vector<int32_t>{1, 2, 3, 4, 5, 6}));
  }
  const Result<TokenRows> one = loadTokenRows(
      npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n", bytes32({9, 0})), "");
  ASSERT_TRUE(one.ok()) << one.status().message();
  EXPECT_EQ(one->ids, std::vector<int32_t>{9});
}

TEST_F(TokenFile, DamagedNpy) {
  const std::string data = bytes32({1, 2, 3, 4, 5, 6});
  const auto status = [&](const std::string &header, const std::string &bytes) {
    return loadTokenRows(npy(header, bytes), "").status();
  };
  const auto header = [](const char *type, const char *order, const char *shape) {
    return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n", type, order,
                       shape);
  };
  expectError(status(kHeader, data.substr(4)), Code::DataCorrupt, "needs 24 bytes, it holds 20");
  expectError(status(header("<f4", "False", "(2, 3)"), data), Code::DataCorrupt,
              "no int32 or int64");
  expectError(status(header("<i4", "True", "(2, 3)"), data), Code::DataCorrupt, "Fortran order");
  expectError(status(header("<i4", "False", "(1, 2, 3)"), data), Code::DataCorrupt,
              "[rows,tokens]");
  expectError(status(header("<i4", "False", "(99999999999, 3)"), data), Code::DataCorrupt,
              "[rows,tokens]");
  fixtures::writeText(folder / "short.npy", "\x93NUMPY");
  expectError(loadTokenRows(folder / "short.npy", "").status(), Code::DataCorrupt, "no npy file");
  fixtures::writeText(folder / "empty.npy", "");
  expectError(loadTokenRows(folder / "empty.npy", "").status(), Code::DataCorrupt, "no npy file");
  std::string cut("\x93NUMPY\x01\x00\xff\x00{'descr'", 18);
  fixtures::writeText(folder / "cut.npy", cut);
  expectError(loadTokenRows(folder / "cut.npy", "").status(), Code::DataCorrupt,
              "header is damaged");
}

TEST_F(TokenFile, FirstRows) {
  const TokenRows all = {2, 3, {1, 2, 3, 4, 5, 6}};
  const Result<TokenRows> cut = firstRows(all, 0, 2);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->ids, (std::vector<int32_t>{1, 2, 4, 5}));
  EXPECT_EQ(firstRows(all, 1, 0)->ids, (std::vector<int32_t>{1, 2, 3}));
  expectError(firstRows(all, 3, 0).status(), Code::InvalidArgument,
              "3 rows of 3 tokens are asked for, there are 2 rows of 3");
  expectError(firstRows(all, 0, 4).status(), Code::InvalidArgument, "2 rows of 4 tokens");
}

} // namespace
} // namespace gptqc
