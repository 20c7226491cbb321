// The plugin: SentencePiece behind plain functions. The only file that sees its headers.
#include "runtime/tokenizer/plugin/SentencePieceAbi.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include <sentencepiece_processor.h>

namespace {

using sentencepiece::SentencePieceProcessor;

const SentencePieceProcessor &processorOf(const void *model) {
  return *static_cast<const SentencePieceProcessor *>(model);
}

void *openModel(const char *path, char *error, size_t errorSize) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const sentencepiece::util::Status status = processor->Load(path);
  if (!status.ok()) {
    std::snprintf(error, errorSize, "%s", status.ToString().c_str());
    return nullptr;
  }
  return processor.release();
}

void closeModel(void *model) { delete static_cast<SentencePieceProcessor *>(model); }

int64_t encodeText(const void *model, const char *text, size_t size, int32_t *ids,
                   int64_t capacity) {
  try {
    std::vector<int> found;
    if (!processorOf(model).Encode(std::string_view(text, size), &found).ok())
      return -1;
    const int64_t count = int64_t(found.size());
    std::copy_n(found.begin(), std::min(count, capacity), ids);
    return count;
  } catch (...) { // out of memory
    return -1;
  }
}

int32_t pieceCount(const void *model) { return processorOf(model).GetPieceSize(); }

int32_t beginId(const void *model) { return processorOf(model).bos_id(); }

const char *pieceText(const void *model, int32_t id, int *kind) {
  const SentencePieceProcessor &processor = processorOf(model);
  *kind = processor.IsByte(id)                                 ? kPieceByte
          : processor.IsControl(id) || processor.IsUnknown(id) ? kPieceSpecial
                                                               : kPieceText;
  return processor.IdToPiece(id).c_str();
}

} // namespace

extern "C" __attribute__((visibility("default"))) const GptqcSentencePiece *gptqc_sentencepiece() {
  static constexpr GptqcSentencePiece kFunctions = {openModel,  closeModel, encodeText,
                                                    pieceCount, beginId,    pieceText};
  return &kFunctions;
}
