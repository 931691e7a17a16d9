// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "broker/engine.h"

namespace jobmill::broker {
namespace {

// Of one write.
constexpr std::size_t kMostMoves = 256;

}  // namespace

void Engine::move(Queue& queue, Move move) {
  queue.put(move.sequence, Place::Moving);
  queue.moves.push_back(std::move(move));
  wake(queue);
}

void Engine::expire(Queue& queue) {
  const bool keep = queue.entity.description().dead_letter_on_expiration;
  for (const SequenceNumber sequence : queue.take_expired(now_)) {
    if (keep) {
      move(queue, {sequence, Move::Kind::DeadLetter, "TTLExpiredException",
                   "The message expired and was dead lettered."});
    } else {
      move(queue, {.sequence = sequence, .kind = Move::Kind::Drop});
    }
  }
}

// What became ready in a queue that forwards: it was there before forwarding began, or came back
// from a lock.
void Engine::forward(Queue& queue) {
  while (queue.moves.size() < kMostMoves) {
    const Entry* entry = queue.index().count(Place::Ready) > 0 ? queue.take_ready() : nullptr;
    if (entry == nullptr) return;
    move(queue, {.sequence = entry->sequence, .kind = Move::Kind::Forward});
  }
}

// One write at a time; dropping needs no bodies.
void Engine::run_moves(Queue& queue) {
  if (queue.moving || queue.moves.empty() || queue.paused_until) return;
  std::vector<Move> moves;
  std::vector<SequenceNumber> sequences;
  const bool drops = queue.moves.front().kind == Move::Kind::Drop;
  while (moves.size() < kMostMoves && !queue.moves.empty() &&
         (queue.moves.front().kind == Move::Kind::Drop) == drops) {
    sequences.push_back(queue.moves.front().sequence);
    moves.push_back(std::move(queue.moves.front()));
    queue.moves.pop_front();
  }
  queue.moving = true;
  if (drops) return write_moves(queue, std::move(moves), {});
  read(queue, std::move(sequences),
       [this, &queue, moves = std::move(moves)](Result<Messages> messages) mutable {
         if (queue.entity.gone) return;
         if (!messages || !queue.entity.visible) return moves_failed(queue, std::move(moves));
         write_moves(queue, std::move(moves), *messages);
       });
}

void Engine::write_moves(Queue& queue, std::vector<Move> moves, const Messages& messages) {
  Batch batch;
  for (const Move& move : moves) {
    batch.changes.emplace_back(DeleteMessage{queue.key(), move.sequence});
    record(batch, move.ended);
  }
  auto message = messages.begin();
  for (const Move& move : moves) {
    if (message == messages.end() || (*message)->sequence != move.sequence) continue;
    Message copy = **message++;
    if (move.kind == Move::Kind::DeadLetter) {
      enqueue(batch, queue.entity.dead_letters,
              dead_letter_of(queue, copy, move.reason, move.description, {}), false);
      continue;
    }
    copy.state = MessageState::Ready;
    copy.scheduled_for.reset();
    copy.enqueued_at = now_;
    enqueue(batch, queue, std::move(copy), false);
  }
  commit(std::move(batch), [this, entity = pointer(queue.entity), &queue,
                            moves = std::move(moves)](const Status& written) mutable {
    if (entity->gone) return;
    if (!written) return moves_failed(queue, std::move(moves));
    queue.moving = false;
    for (const Move& move : moves) {
      queue.remove(move.sequence);
      tell(queue, move.ended);
    }
    wake(queue);
  });
}

void Engine::moves_failed(Queue& queue, std::vector<Move> moves) {
  queue.moving = false;
  queue.moves.insert(queue.moves.begin(), std::make_move_iterator(moves.begin()),
                     std::make_move_iterator(moves.end()));
  pause(queue);
}

// Keeps message-id, enqueued time and delivery count; nothing expires there.
Message Engine::dead_letter_of(const Queue& queue, const Message& message,
                               const std::string& reason, const std::string& description,
                               amqp::Map properties) const {
  Message dead = message;
  dead.state = MessageState::Ready;
  dead.expires_at.reset();
  dead.scheduled_for.reset();
  dead.dead_letter_source = queue.entity.description().name;
  if (!reason.empty()) amqp::set_string(properties, kReasonProperty, reason);
  if (!description.empty()) amqp::set_string(properties, kDescriptionProperty, description);
  if (!properties.empty()) dead.bytes = with_properties(*message.bytes, properties);
  dead.size = static_cast<std::uint32_t>(dead.bytes->size());
  return dead;
}

std::string Engine::too_often(std::uint32_t attempts) {
  return "Message could not be consumed after " + std::to_string(attempts) + " delivery attempts.";
}

}  // namespace jobmill::broker
