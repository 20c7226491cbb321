// Descriptor files and token lists.
#include "cli/check/DescriptorFile.h"

#include "runtime/core/AtomicFile.h"
#include "runtime/core/TextForm.h"

namespace gptqc::cli {

Result<std::vector<Descriptor>> parseDescriptors(std::string_view text, std::string_view origin) {
  std::vector<Descriptor> descriptors;
  int number = 0;
  for (std::string_view line : splitAt(text, '\n')) {
    ++number;
    line = trim(line.substr(0, line.find('#')));
    if (!line.empty() && line.back() == '\r')
      line = trim(line.substr(0, line.size() - 1));
    if (line.empty())
      continue;
    const Result<Descriptor> descriptor = Descriptor::parse(line);
    if (!descriptor)
      return descriptor.status().withContext(fmt::format("{}:{}", origin, number));
    descriptors.push_back(*descriptor);
  }
  if (descriptors.empty())
    return invalidArgument("{}: holds no descriptor; write one a line, e.g. "
                           "`w4 g128 sym f16->f16 n4096 k4096 m1..16`",
                           origin);
  return descriptors;
}

Result<std::vector<Descriptor>> readDescriptorFile(const std::filesystem::path &path) {
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path, uint64_t(16) << 20));
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  return parseDescriptors(text, path.string());
}

Result<std::vector<int64_t>> parseTokenCounts(std::string_view text) {
  std::vector<int64_t> counts;
  for (std::string_view piece : splitAt(text, ',')) {
    const std::optional<int64_t> count = parseInteger(trim(piece));
    if (!count || *count < 1 || *count > (int64_t(1) << 24))
      return invalidArgument(
          "token counts `{}`: `{}` is no number from 1 to 2^24; write e.g. 1,7,16", text, piece);
    counts.push_back(*count);
  }
  return counts;
}

} // namespace gptqc::cli
