// The ops of the gemv and the wgmma family.
#include "llvm/ADT/TypeSwitch.h"

#include "compiler/emit/BodyPrinter.h"

namespace gptqc {

void BodyPrinter::printBranches(llvm::StringRef condition, mlir::Region &first,
                                mlir::Region &second) {
  line("if ({}) {{", condition.str());
  ++depth;
  printBlock(first.front());
  --depth;
  line("}} else {{");
  ++depth;
  printBlock(second.front());
  --depth;
  line("}}");
}

/// The ops that declare an object of the gemv family, or name a part of one.
void BodyPrinter::printState(mlir::Operation *op) {
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::OpenStreamOp o) {
        const std::string rings = whole(o.getRings());
        line("weight_stream<layer, tile> {}({}, args);", declare(o.getStream(), "stream"), rings);
      })
      .Case([&](tile::OpenSliceOp o) {
        const std::string slices = whole(o.getSlices()), tokens = whole(o.getTokens());
        line("x_slice<layer, tile> {}({}, args, {});", declare(o.getSlice(), "slice"), slices,
             tokens);
      })
      .Case([&](tile::OpenMailboxOp o) {
        const std::string buffer = whole(o.getBuffer());
        line("sums_mailbox<layer, tile> {}({});", declare(o.getMailbox(), "mailbox"), buffer);
      })
      .Case([&](tile::FirstUnitOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".range.begin", false};
      })
      .Case([&](tile::LastUnitOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".range.end", false};
      })
      .Case([&](tile::NextUnitOp o) {
        const std::string stream = whole(o.getStream());
        line("const u8 *const {} = {}.next(args);", declare(o.getUnit(), "slot"), stream);
      })
      .Case([&](tile::TakeOp o) {
        const std::string mailbox = whole(o.getMailbox());
        line("const float *const {} = {}.take();", declare(o.getPosted(), "posted"), mailbox);
      })
      .Case([&](tile::LoadSliceOp o) {
        const std::string name = declare(o.getFragments(), "b");
        line("u32 {}{};", name, array(o.getType()));
        line("{}.load<{}>({}, {});", whole(o.getSlice()), o.getType().getShape()[0], name,
             whole(o.getStep()));
      })
      .Case([&](tile::SpecializeOp o) {
        printBranches("is_streaming_warp<tile>()", o.getStreaming(), o.getReducing());
      });
}

void BodyPrinter::printMeeting(mlir::Operation *op) {
  headers.insert("gptqc/meeting.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::OpenMeetingOp o) {
        const std::string buffer = whole(o.getBuffer());
        line("splits_meeting<layer, tile> {}({});", declare(o.getMeeting(), "meeting"), buffer);
      })
      .Case([&](tile::InitializeMeetingOp o) { line("{}.initialize();", whole(o.getMeeting())); })
      .Case([&](tile::SendOp o) {
        line("{}.send(args, {}, {});", whole(o.getMeeting()), whole(o.getPosted()),
             whole(o.getTokens()));
      })
      .Case([&](tile::StoreMetOp o) {
        line("{}.store(args, {}, {});", whole(o.getMeeting()), whole(o.getItem()),
             whole(o.getTokens()));
      });
}

/// The ops of gemv kernels whose warps lie along rows.
void BodyPrinter::printRows(mlir::Operation *op) {
  headers.insert("gptqc/gemv_rows.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::OpenShareOp o) {
        const std::string shares = whole(o.getShares());
        line("x_share<layer, tile> {}({});", declare(o.getSlice(), "share"), shares);
      })
      .Case([&](tile::OpenExchangeOp o) {
        const std::string buffer = whole(o.getBuffer());
        line("rows_exchange<layer, tile> {}({});", declare(o.getExchange(), "exchange"), buffer);
      })
      .Case([&](tile::StartRowsOp o) {
        line("start_rows<{}>({}, {}, {}, args, {});", o.getGather(), whole(o.getStream()),
             whole(o.getSlice()), whole(o.getExchange()), whole(o.getTokens()));
      })
      .Case([&](tile::FirstRowsOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".first_item()", false};
      })
      .Case([&](tile::RowsStepOp o) {
        expressions[o.getUnit()] = {whole(o.getStream()) + ".item_step()", false};
      })
      .Case([&](tile::NextRowsOp o) {
        const std::string arguments =
            fmt::format("{}, {}, args, {}, {}", whole(o.getStream()), whole(o.getSlice()),
                        whole(o.getUnit()), whole(o.getTokens()));
        line("const u8 *const {} = next_rows<{}>({});", declare(o.getSlot(), "slot"), o.getGather(),
             arguments);
      })
      .Case([&](tile::AccumulateRowsOp o) {
        line("accumulate_rows<layer, tile, {}>({}, {}, {}, {}, {});", o.getSteps(),
             whole(o.getSums()), whole(o.getSlice()), whole(o.getSlot()), whole(o.getUnit()),
             whole(o.getStep()));
      })
      .Case([&](tile::SettleAtOp o) {
        line("{}.settle_at(args, {}.range, {}, {});", whole(o.getExchange()), whole(o.getStream()),
             whole(o.getUnit()), whole(o.getTokens()));
      })
      .Case([&](tile::SendRowsOp o) {
        line("{}.send(args, {}, {}, {});", whole(o.getExchange()), whole(o.getSums()),
             whole(o.getItem()), whole(o.getTokens()));
      })
      .Case([&](tile::SettleOp o) {
        line("{}.settle<true>(args, {});", whole(o.getExchange()), whole(o.getTokens()));
      });
}

void BodyPrinter::printGemv(mlir::Operation *op) {
  // Shared with the kernels whose warps lie along rows, which name their own header.
  if (!llvm::isa<tile::OpenStreamOp, tile::FirstUnitOp, tile::LastUnitOp, tile::NextUnitOp,
                 tile::RewindOp, tile::AdvanceOp>(op))
    headers.insert("gptqc/gemv.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::StartStreamingOp o) {
        line("start_streaming<{}>({}, {}, args, {});", o.getGather(), whole(o.getStream()),
             whole(o.getSlice()), whole(o.getTokens()));
      })
      .Case([&](tile::RewindOp o) { line("{}.rewind();", whole(o.getSlice())); })
      .Case([&](tile::AdvanceOp o) { line("{}.advance();", whole(o.getSlice())); })
      .Case([&](tile::AccumulateUnitOp o) {
        line("accumulate_unit<layer, tile, {}>({}, {}, {}, {}, {});",
             o.getFragments().getType().getShape()[0], whole(o.getSums()), whole(o.getFragments()),
             whole(o.getSlot()), whole(o.getUnit()), whole(o.getStep()));
      })
      .Case([&](tile::InitializeMailboxOp o) { line("{}.initialize();", whole(o.getMailbox())); })
      .Case(
          [&](tile::PostOp o) { line("{}.post({});", whole(o.getMailbox()), whole(o.getSums())); })
      .Case([&](tile::GiveBackOp o) { line("{}.give_back();", whole(o.getMailbox())); })
      .Case([&](tile::ReduceAndStoreOp o) {
        line("reduce_and_store<layer, tile>(args, {}, {}, {});", whole(o.getPosted()),
             whole(o.getItem()), whole(o.getTokens()));
      })
      .Default([&](mlir::Operation *o) { printState(o); });
}

void BodyPrinter::printWgmma(mlir::Operation *op) {
  headers.insert("gptqc/wgmma_store.cuh");
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case([&](tile::SplitWarpgroupsOp o) {
        printBranches("wgmma_feeds<layer, tile>()", o.getFeeding(), o.getMultiplying());
      })
      .Case([&](tile::FeedOp o) {
        line("wgmma_feed<layer, tile>({}, args, x_map);", whole(o.getRings()));
      })
      .Case([&](tile::OpenConsumerOp o) {
        const std::string rings = whole(o.getRings());
        line("wgmma_consumer<layer, tile> {}({}, args);", declare(o.getConsumer(), "consumer"),
             rings);
      })
      .Case([&](tile::LastItemOp o) {
        line("const int {} = wgmma_items<layer, tile>(args);", declare(o.getItem(), "items"));
      })
      .Case([&](tile::FirstRoundOp o) {
        expressions[o.getRound()] = {whole(o.getConsumer()) + ".first_round()", false};
      })
      .Case([&](tile::LastRoundOp o) {
        expressions[o.getRound()] = {whole(o.getConsumer()) + ".last_round()", false};
      })
      .Case([&](tile::StartItemOp o) { line("{}.start(args);", whole(o.getConsumer())); })
      .Case([&](tile::MultiplyRoundOp o) {
        line("{}.round({}, args, {});", whole(o.getConsumer()), whole(o.getSums()),
             whole(o.getRound()));
      })
      .Case([&](tile::FinishItemOp o) {
        line("{}.finish({});", whole(o.getConsumer()), whole(o.getSums()));
      })
      .Case([&](tile::StoreItemOp o) {
        line("wgmma_store_item<layer, tile>(args, {}, {}, {}, {});", whole(o.getSums()),
             whole(o.getRings()), whole(o.getConsumer()), whole(o.getItem()));
      });
}

} // namespace gptqc
