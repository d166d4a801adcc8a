#!/bin/sh
printf '{"type":"system","subtype":"init","session_id":"s-1","model":"%s","tools":["Bash","Edit"]}\n' "$EVERFOLD_MODEL"
printf '{"type":"assistant","message":{"content":[{"type":"text","text":"I look at the code first."},{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls -la"}}]}}\n'
printf '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"total 4\\nroman.py"}]}}\n'
sleep 0.3
printf '{"type":"assistant","message":{"content":[{"type":"text","text":"Now I **write** it:\\n\\n```python\\ndef roman(n): ...\\n```"}]}}\n'
printf '{"type":"result","subtype":"success","session_id":"s-1","total_cost_usd":0.31,"num_turns":3,"result":"done","usage":{"input_tokens":1200,"output_tokens":340,"cache_read_input_tokens":800}}\n'
