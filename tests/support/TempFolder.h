// A folder of a test's own, removed with everything in it.
#ifndef GPTQC_TESTS_SUPPORT_TEMPFOLDER_H
#define GPTQC_TESTS_SUPPORT_TEMPFOLDER_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace gptqc::fixtures {

class TempFolder {
public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gptqc-test-XXXXXX").string();
    if (!::mkdtemp(name.data()))
      std::abort();
    root = name;
  }
  ~TempFolder() {
    std::error_code error;
    std::filesystem::remove_all(root, error);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  const std::filesystem::path &path() const { return root; }
  std::filesystem::path operator/(std::string_view name) const { return root / name; }

private:
  std::filesystem::path root;
};

inline void writeText(const std::filesystem::path &path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), std::streamsize(text.size()));
}

inline std::string readText(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_SUPPORT_TEMPFOLDER_H
