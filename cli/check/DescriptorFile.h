// Files of descriptors, one a line: the input of verify, bench and the other commands that take
// lists.
#ifndef GPTQC_CLI_CHECK_DESCRIPTORFILE_H
#define GPTQC_CLI_CHECK_DESCRIPTORFILE_H

#include <filesystem>
#include <string_view>
#include <vector>

#include "runtime/core/Descriptor.h"

namespace gptqc::cli {

/// One descriptor a line; `#` starts a comment, blank lines are skipped. Errors name `origin` and
/// the line. A list without descriptors is an error.
Result<std::vector<Descriptor>> parseDescriptors(std::string_view text, std::string_view origin);

/// The same, from a file of at most 16 MiB.
Result<std::vector<Descriptor>> readDescriptorFile(const std::filesystem::path &path);

/// Token counts separated by commas, e.g. "1,7,16": each 1 or more, at least one.
Result<std::vector<int64_t>> parseTokenCounts(std::string_view text);

} // namespace gptqc::cli

#endif // GPTQC_CLI_CHECK_DESCRIPTORFILE_H
