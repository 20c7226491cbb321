// The plugin's functions as a Tokenizer.
#include "runtime/tokenizer/SentencePiece.h"

#include <cstdlib>
#include <dlfcn.h>

#include "runtime/tokenizer/plugin/SentencePieceAbi.h"

namespace gptqc {
namespace {

constexpr const char *kPlugin = "libgptqc_sentencepiece.so";

/// Looks beside this binary (the Python module), in lib/ beside its folder (installed, or in a
/// build tree, where tests lie one folder deeper) and lib/gptqc/ (the tool of the wheel), then in
/// the loader's path. Null when there is none; dlerror() says why.
void *openPlugin() {
  Dl_info self = {};
  if (dladdr(reinterpret_cast<void *>(&openPlugin), &self) != 0 && self.dli_fname) {
    // A program that was found in PATH has its bare name here.
    const bool bare = std::string_view(self.dli_fname).find('/') == std::string_view::npos;
    std::error_code error;
    const std::filesystem::path binary =
        std::filesystem::canonical(bare ? "/proc/self/exe" : self.dli_fname, error);
    for (const char *folder : {".", "../lib", "../lib/gptqc", "../../lib"})
      if (void *found =
              dlopen((binary.parent_path() / folder / kPlugin).c_str(), RTLD_NOW | RTLD_LOCAL))
        return found;
  }
  return dlopen(kPlugin, RTLD_NOW | RTLD_LOCAL);
}

class SentencePieceTokenizer final : public Tokenizer {
public:
  SentencePieceTokenizer(const GptqcSentencePiece &functions, void *model)
      : functions(functions), model(model) {}
  SentencePieceTokenizer(const SentencePieceTokenizer &) = delete;
  SentencePieceTokenizer &operator=(const SentencePieceTokenizer &) = delete;
  ~SentencePieceTokenizer() override { functions.close(model); }

  void openDocumentsWithBegin() {
    if (const int32_t begin = functions.begin(model); begin >= 0)
      opening = {begin};
  }

  Result<std::vector<int32_t>> encode(std::string_view text) const override {
    std::vector<int32_t> ids(text.size() + 16);
    for (;;) {
      const int64_t count =
          functions.encode(model, text.data(), text.size(), ids.data(), int64_t(ids.size()));
      if (count < 0)
        return invalidArgument("SentencePiece cannot encode the text; is it UTF-8?");
      const bool complete = count <= int64_t(ids.size());
      ids.resize(size_t(count));
      if (complete)
        return ids;
    }
  }

  std::string bytesOf(int32_t id) const override {
    if (id < 0 || id >= functions.pieces(model))
      return "";
    int kind = kPieceText;
    const std::string piece = functions.piece(model, id, &kind);
    if (kind == kPieceSpecial)
      return "";
    if (kind == kPieceByte) // "<0x0A>"
      return {char(std::strtol(piece.c_str() + 3, nullptr, 16))};
    constexpr std::string_view kSpace = "\xe2\x96\x81";
    std::string text;
    for (size_t at = 0; at < piece.size();)
      if (piece.compare(at, kSpace.size(), kSpace) == 0) {
        text += ' ';
        at += kSpace.size();
      } else {
        text += piece[at++];
      }
    return text;
  }

private:
  const GptqcSentencePiece &functions;
  void *model;
};

} // namespace

Result<std::shared_ptr<const Tokenizer>> openSentencePiece(const std::filesystem::path &folder) {
  const std::string path = (folder / "tokenizer.model").string();
  void *library = openPlugin();
  if (!library)
    return makeError(Code::NotFound,
                     "{}: its tokenizer needs the plugin {}, which is built where SentencePiece is "
                     "installed ({}); give token ids instead",
                     path, kPlugin, dlerror());
  using Entry = const GptqcSentencePiece *();
  auto *entry = reinterpret_cast<Entry *>(dlsym(library, "gptqc_sentencepiece"));
  if (!entry)
    return makeError(Code::NotFound, "{} is of another version; build it again", kPlugin);
  char error[200] = {};
  void *model = entry()->open(path.c_str(), error, sizeof(error));
  if (!model)
    return dataCorrupt("{} cannot be read: {}; fetch it again", path, error);
  auto tokenizer = std::make_shared<SentencePieceTokenizer>(*entry(), model);
  // Without a tokenizer_config.json that says otherwise, documents open with <s>.
  GPTQC_ASSIGN(const std::string openingName, openingTokenName(folder));
  std::error_code missing;
  if (!openingName.empty() || !std::filesystem::exists(folder / "tokenizer_config.json", missing))
    tokenizer->openDocumentsWithBegin();
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

} // namespace gptqc
