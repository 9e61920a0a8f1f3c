-- Goes through the channels in an order that no cache likes.
local count = tonumber(os.getenv("CHANNELS"))
local number = 1

request = function()
  number = (number * 48271) % 2147483647
  return wrk.format("GET", "/bench/group-" .. (number % count) % 100 .. "/channel-" .. number % count .. "/7")
end
