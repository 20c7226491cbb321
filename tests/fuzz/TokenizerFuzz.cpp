// A tokenizer: the input is tokenizer.json up to the first NUL byte, then a text for it.
#include "runtime/tokenizer/Tokenizer.h"
#include "tests/fuzz/FuzzTarget.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fixtures::TempFolder folder;
  const std::string_view input = textOf(data, size);
  const size_t end = std::min(input.find('\0'), input.size());
  fixtures::writeText(folder / "tokenizer.json", input.substr(0, end));
  const Result<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::open(folder.path());
  if (!tokenizer) {
    checkError(tokenizer.status());
    return 0;
  }
  const std::string_view text = input.substr(std::min(end + 1, input.size()));
  const Result<std::vector<int32_t>> ids = (*tokenizer)->encode(text);
  if (!ids) {
    checkError(ids.status());
    return 0;
  }
  for (const int32_t id : *ids)
    require(id >= 0, "ids are in range");
  const Result<std::vector<int32_t>> document = (*tokenizer)->encodeDocument(text);
  const size_t opening = (*tokenizer)->openingTokens().size();
  require(document && document->size() == opening + ids->size(),
          "a document is its opening tokens and its text");
  (void)(*tokenizer)->decode(*document);
  return 0;
}
