package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"trunkline.example/shared/record"
)

// recordPoll is how often the call records are looked at.
const recordPoll = 50 * time.Millisecond

// followRecords calls each with every record that is appended to the file, until ctx ends.
func followRecords(ctx context.Context, path string, each func(record.Record)) {
	tick := time.NewTicker(recordPoll)
	defer tick.Stop()
	var offset int64
	for {
		offset = newRecords(path, offset, each)
		select {
		case <-ctx.Done():
			newRecords(path, offset, each) // what the daemons wrote as they ended
			return
		case <-tick.C:
		}
	}
}

// newRecords passes on the whole lines from the offset on, and returns where the next one begins. A line that is no record is passed
// over: the daemons' own tests look after that.
func newRecords(path string, offset int64, each func(record.Record)) int64 {
	f, err := os.Open(path)
	if err != nil { // not there yet
		return offset
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	if err != nil {
		return offset
	}
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return offset
		}
		offset += int64(len(line)) + 1
		data = rest
		var r record.Record
		if json.Unmarshal(line, &r) == nil {
			each(r)
		}
	}
}
