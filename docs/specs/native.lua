-- Wireshark dissector of the native protocol of Multicast Bridge, version 1. Specification: wire-native.md.
--
--   tshark -X lua_script:native.lua -r capture.pcap -d udp.port==5000,multicast_bridge
--
-- It also finds the protocol on any UDP port by its magic. Put it into the plug-in folder to have it always.

local bridge = Proto("multicast_bridge", "Multicast Bridge native protocol")

local HEADER, MAC, CRC = 40, 16, 4
local FRAGMENT, AUTHENTICATED, ORIGIN, KNOWN = 0x0001, 0x0002, 0x0004, 0x0007

local kinds = {
  [0] = "Data", [1] = "Heartbeat", [2] = "Hole", [3] = "End of session",
  [16] = "Request", [17] = "Answer data", [18] = "Answer miss", [19] = "Answer not yet",
  [20] = "Answer never", [21] = "Answer throttled", [22] = "Cookie",
}
local reasons = {
  [0] = "announced", [1] = "wire", [2] = "reassembly", [3] = "hold_cap", [4] = "session_end", [5] = "rejected",
  [6] = "before_window", [7] = "overload", [8] = "shutdown", [9] = "broker_lost", [10] = "stale",
}

local field = {
  magic = ProtoField.string("multicast_bridge.magic", "Magic"),
  version = ProtoField.uint8("multicast_bridge.version", "Version"),
  kind = ProtoField.uint8("multicast_bridge.kind", "Kind", base.DEC, kinds),
  flags = ProtoField.uint16("multicast_bridge.flags", "Flags", base.HEX),
  flag_fragment = ProtoField.bool("multicast_bridge.flags.fragment", "Fragment", 16, nil, FRAGMENT),
  flag_mac = ProtoField.bool("multicast_bridge.flags.mac", "MAC", 16, nil, AUTHENTICATED),
  flag_origin = ProtoField.bool("multicast_bridge.flags.origin", "Origin mark", 16, nil, ORIGIN),
  channel = ProtoField.uint32("multicast_bridge.channel", "Channel"),
  count = ProtoField.uint16("multicast_bridge.count", "Messages"),
  reserved = ProtoField.uint16("multicast_bridge.reserved", "Reserved", base.HEX),
  session = ProtoField.bytes("multicast_bridge.session", "Session"),
  sequence = ProtoField.uint64("multicast_bridge.sequence", "Sequence"),
  send_time = ProtoField.absolute_time("multicast_bridge.send_time", "Send time", base.UTC),
  send_time_ns = ProtoField.uint64("multicast_bridge.send_time_ns", "Send time (ns)"),
  origin = ProtoField.uint64("multicast_bridge.origin", "Origin", base.HEX),
  message = ProtoField.none("multicast_bridge.message", "Message"),
  number = ProtoField.uint64("multicast_bridge.message.sequence", "Sequence"),
  length = ProtoField.uint16("multicast_bridge.message.length", "Length"),
  payload = ProtoField.bytes("multicast_bridge.message.payload", "Payload"),
  fragment_size = ProtoField.uint32("multicast_bridge.fragment.size", "Size of the message"),
  fragment_offset = ProtoField.uint32("multicast_bridge.fragment.offset", "Offset of the piece"),
  fragment_piece = ProtoField.bytes("multicast_bridge.fragment.piece", "Piece"),
  last = ProtoField.uint64("multicast_bridge.hole.last", "Last"),
  reason = ProtoField.uint8("multicast_bridge.hole.reason", "Reason", base.DEC, reasons),
  mac = ProtoField.bytes("multicast_bridge.mac", "MAC"),
  crc = ProtoField.uint32("multicast_bridge.crc", "CRC-32", base.HEX),
  crc_ok = ProtoField.bool("multicast_bridge.crc.good", "CRC-32 is good"),
}
bridge.fields = field

local malformed = ProtoExpert.new("multicast_bridge.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local bad_crc = ProtoExpert.new("multicast_bridge.crc.bad", "CRC-32 does not match", expert.group.CHECKSUM, expert.severity.ERROR)
bridge.experts = { malformed, bad_crc }

local function xor(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    if a % 2 ~= b % 2 then result = result + bit end
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local crc_table = {}
for byte = 0, 255 do
  local value = byte
  for _ = 1, 8 do
    value = value % 2 == 1 and xor(math.floor(value / 2), 0xEDB88320) or math.floor(value / 2)
  end
  crc_table[byte] = value
end

-- Byte-wise exclusive or, so that the CRC needs no bit library: Lua 5.1, 5.2 and 5.3 differ in theirs.
local xor_bytes = {}
for a = 0, 255 do
  xor_bytes[a] = {}
  for b = 0, 255 do xor_bytes[a][b] = xor(a, b) end
end

local function crc32(buffer, length)
  local bytes = buffer(0, length):bytes()
  local c0, c1, c2, c3 = 255, 255, 255, 255 -- least significant first
  for i = 0, length - 1 do
    local value = crc_table[xor_bytes[c0][bytes:get_index(i)]]
    c0 = xor_bytes[c1][value % 256]
    c1 = xor_bytes[c2][math.floor(value / 0x100) % 256]
    c2 = xor_bytes[c3][math.floor(value / 0x10000) % 256]
    c3 = math.floor(value / 0x1000000)
  end
  return (255 - c0) + (255 - c1) * 0x100 + (255 - c2) * 0x10000 + (255 - c3) * 0x1000000
end

local function messages(buffer, tree, start, stop, count)
  local first = buffer(24, 8):uint64()
  local at = start + 2 * count
  if at > stop then return "the lengths do not fit" end
  for i = 0, count - 1 do
    local length = buffer(start + 2 * i, 2)
    if at + length:uint() > stop then return "message " .. i .. " does not fit" end
    local number = first + i
    local item = tree:add(field.message, buffer(at, length:uint()))
    item:set_text("Message " .. tostring(number) .. ", " .. length:uint() .. " bytes")
    item:add(field.number, buffer(24, 8), number):set_generated()
    item:add(field.length, length)
    item:add(field.payload, buffer(at, length:uint()))
    at = at + length:uint()
  end
  if count == 0 then return "data without a message" end
  if at < stop then return (stop - at) .. " bytes behind the last message" end
end

local function body(buffer, tree, start, stop)
  local kind, flags, count = buffer(5, 1):uint(), buffer(6, 2):uint(), buffer(12, 2):uint()
  local fragment = flags % 2 == 1
  if kind == 0 and fragment then
    if stop - start < 9 then return "no piece" end
    tree:add(field.fragment_size, buffer(start, 4))
    tree:add(field.fragment_offset, buffer(start + 4, 4))
    tree:add(field.fragment_piece, buffer(start + 8, stop - start - 8))
    if buffer(start + 4, 4):uint() + stop - start - 8 > buffer(start, 4):uint() then return "outside its message" end
  elseif kind == 0 then
    return messages(buffer, tree, start, stop, count)
  elseif kind == 2 then
    if stop - start ~= 9 then return "a hole has 9 bytes of body" end
    tree:add(field.last, buffer(start, 8))
    tree:add(field.reason, buffer(start + 8, 1))
  elseif kind == 1 or kind == 3 then
    if stop ~= start then return (stop - start) .. " bytes too many" end
  end
end

local function describe(buffer)
  local kind, flags, count = buffer(5, 1):uint(), buffer(6, 2):uint(), buffer(12, 2):uint()
  local sequence = buffer(24, 8):uint64()
  local text = (kinds[kind] or "Kind " .. kind) .. " channel " .. buffer(8, 4):uint()
  if kind == 0 and flags % 2 == 1 then
    text = text .. " fragment of " .. tostring(sequence)
  elseif kind == 0 then
    text = text .. " " .. tostring(sequence) .. ".." .. tostring(sequence + (count - 1))
  elseif kind == 1 or kind == 3 then
    text = text .. " next " .. tostring(sequence)
  else
    text = text .. " from " .. tostring(sequence)
  end
  return text
end

function bridge.dissector(buffer, packet, root)
  local size = buffer:len()
  if size < 5 or buffer(0, 4):string() ~= "MCBR" then return 0 end
  packet.cols.protocol = "MCBR"
  local tree = root:add(bridge, buffer())
  tree:add(field.magic, buffer(0, 4))
  tree:add(field.version, buffer(4, 1))
  if buffer(4, 1):uint() ~= 1 then
    packet.cols.info = "Unknown version " .. buffer(4, 1):uint()
    return size
  end
  if size < HEADER + CRC then
    tree:add_proto_expert_info(malformed, "Shorter than its header")
    return size
  end
  tree:add(field.kind, buffer(5, 1))
  local flags = buffer(6, 2):uint()
  local flag_tree = tree:add(field.flags, buffer(6, 2))
  flag_tree:add(field.flag_fragment, buffer(6, 2))
  flag_tree:add(field.flag_mac, buffer(6, 2))
  flag_tree:add(field.flag_origin, buffer(6, 2))
  tree:add(field.channel, buffer(8, 4))
  tree:add(field.count, buffer(12, 2))
  tree:add(field.reserved, buffer(14, 2))
  tree:add(field.session, buffer(16, 8))
  tree:add(field.sequence, buffer(24, 8))
  local sent = buffer(32, 8):uint64()
  local seconds = sent / 1000000000
  tree:add(field.send_time, buffer(32, 8), NSTime.new(seconds:tonumber(), (sent % 1000000000):tonumber()))
  tree:add(field.send_time_ns, buffer(32, 8))
  packet.cols.info = describe(buffer)

  local start, stop = HEADER, size - CRC
  local problem
  if math.floor(flags / ORIGIN) % 2 == 1 then start = start + 8 end
  if math.floor(flags / AUTHENTICATED) % 2 == 1 then stop = stop - MAC end
  if flags > KNOWN then
    problem = "unknown flags"
  elseif start > stop then
    problem = "the flagged parts do not fit"
  else
    if start > HEADER then tree:add(field.origin, buffer(HEADER, 8)) end
    problem = body(buffer, tree, start, stop)
    if stop < size - CRC then tree:add(field.mac, buffer(stop, MAC)) end
  end
  local crc_item = tree:add_le(field.crc, buffer(size - CRC, CRC))
  local good = buffer(size - CRC, CRC):le_uint() == crc32(buffer, size - CRC)
  crc_item:add(field.crc_ok, buffer(size - CRC, CRC), good):set_generated()
  if not good then crc_item:add_proto_expert_info(bad_crc) end
  if problem then tree:add_proto_expert_info(malformed, "Malformed: " .. problem) end
  return size
end

local function heuristic(buffer, packet, root)
  if buffer:len() < 5 or buffer(0, 4):string() ~= "MCBR" then return false end
  bridge.dissector(buffer, packet, root)
  packet.conversation = bridge
  return true
end

DissectorTable.get("udp.port"):add_for_decode_as(bridge)
bridge:register_heuristic("udp", heuristic)
