// The C interface between the tokenizer library and the plugin that links SentencePiece: the
// library is C++ with a libstdc++ of its own, so nothing but plain data passes.
#ifndef GPTQC_RUNTIME_TOKENIZER_PLUGIN_SENTENCEPIECEABI_H
#define GPTQC_RUNTIME_TOKENIZER_PLUGIN_SENTENCEPIECEABI_H

#include <cstddef>
#include <cstdint>

/// What a piece is.
enum GptqcPieceKind { kPieceText = 0, kPieceSpecial = 1, kPieceByte = 2 };

/// The functions of one loaded model; `model` is what open() gave.
struct GptqcSentencePiece {
  /// Null when the file cannot be read; the reason is then in `error` (one line, cut to size).
  void *(*open)(const char *path, char *error, size_t errorSize);
  void (*close)(void *model);
  /// The number of ids; at most `capacity` of them are written. Negative on failure. Thread-safe.
  int64_t (*encode)(const void *model, const char *text, size_t size, int32_t *ids,
                    int64_t capacity);
  int32_t (*pieces)(const void *model);
  int32_t (*begin)(const void *model); ///< id of the token that opens a document; -1: none
  /// The piece's text ("\xe2\x96\x81" for a space; "<0x0A>" for a byte), valid until close().
  const char *(*piece)(const void *model, int32_t id, int *kind);
};

/// The plugin's only symbol.
extern "C" const GptqcSentencePiece *gptqc_sentencepiece();

#endif // GPTQC_RUNTIME_TOKENIZER_PLUGIN_SENTENCEPIECEABI_H
