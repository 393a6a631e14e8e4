package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"github.com/orca-telemetry/orca/internal/orca"
)

// redoLog has batches on disk before SQLite commits them: the statements that they ran, with their arguments. One
// transaction of SQLite then takes many batches, and a batch costs one write instead of a dozen, with a checksum of its
// rows and not of all pages that they touched. With 16 windows under way that took a fifth off the core's CPU time of a
// chain of five. After a kill the statements run again.
//
// The file has a header and records. The header names the ledger and has the text of the statements, so that a
// later version understands them. A record has the length and the checksum of the rest, its number, and the statements by
// their numbers. Numbers of records ascend for ever, and the ledger has that of the last one that is in it. Once all
// records are in the database file the next one is written to the beginning again; what an old one left behind it has
// lower numbers.
//
// No record shares a block of the disk with another, so that a write which a power cut tears damages none that was answered.
// Whole blocks also need not go through the kernel's cache, where the platform and the file system allow that: a write
// with its sync took a quarter less CPU time and was a sixth faster.
//
// Whoever holds the token of Store.turn owns it.
type redoLog struct {
	path  string
	file  *os.File
	bound int64 // of its length in bytes
	// tag is of the ledger, and "" in a file without a header, and so without records.
	tag        string
	statements []string

	// tail is where the next record goes, written how far there may be bytes of records, and sized how long the file is.
	tail, written, sized int64
	// next is the number of the next record.
	next uint64
	// record is the one that fills, and blocks is what is written, in memory that begins like a block.
	record, blocks []byte
}

const (
	redoMagic = "orca redo log 1\n"
	// redoBlock is a multiple of the blocks of usual disks.
	redoBlock = 4 << 10
	// redoStart is where records begin.
	redoStart = 16 << 10
	// redoHead is the length of what is before the statements of a record.
	redoHead = 16
	// redoStep is by how much the file grows: a write into what is there already needs no change of the file system's own
	// records, which would be written and synced as well.
	redoStep = 1 << 20
	// redoKept is how large a buffer may stay that a record has filled.
	redoKept = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openRedo opens the redo log of a database, or makes an empty file.
func openRedo(path string, bound int64) (*redoLog, error) {
	r := &redoLog{path: path + "-redo", bound: bound, next: 1}
	_, err := os.Stat(r.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err = r.open(direct); err == nil && fresh {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, orca.Errorf(orca.Precondition, "store %s: %w; make %s writable for this user or choose another path", path, err, r.path)
	}
	return r, nil
}

// open opens the file with a flag, if the file system takes that.
func (r *redoLog) open(flag int) (err error) {
	r.file, err = os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|flag, 0o600)
	if flag != 0 && errors.Is(err, syscall.EINVAL) {
		return r.open(0)
	}
	return err
}

// write writes whole blocks, filled up with zeros.
func (r *redoLog) write(b []byte, at int64) error {
	size := int(blocks(len(b)))
	if cap(r.blocks) < size || cap(r.blocks) > 2*redoStep && size <= redoStep {
		room := make([]byte, max(size, redoStep)+redoBlock)
		r.blocks = room[redoBlock-int(uintptr(unsafe.Pointer(unsafe.SliceData(room)))%redoBlock):]
	}
	r.blocks = r.blocks[:size]
	clear(r.blocks[copy(r.blocks, b):])
	_, err := r.file.WriteAt(r.blocks, at)
	return err
}

// blocks is the length of the blocks that so many bytes take.
func blocks(n int) int64 { return (int64(n) + redoBlock - 1) / redoBlock * redoBlock }

// close closes the file, and removes it when all of it is in the database file.
func (r *redoLog) close(empty bool) error {
	err := r.file.Close()
	if empty {
		err = errors.Join(err, os.Remove(r.path))
	}
	return err
}

// begin drops what the record has.
func (r *redoLog) begin() {
	if cap(r.record) > redoKept {
		r.record = nil
	}
	r.record = append(r.record[:0], make([]byte, redoHead)...)
}

// add notes a statement that has run.
func (r *redoLog) add(statement int, args []driver.Value) {
	b := binary.AppendUvarint(r.record, uint64(statement))
	b = binary.AppendUvarint(b, uint64(len(args)))
	for i := range args {
		switch v := args[i].(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.AppendVarint(append(b, 'i'), v)
		case float64:
			b = binary.LittleEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
		case string:
			b = appendPart(append(b, 's'), v)
		case []byte:
			b = appendPart(append(b, 'b'), v)
		default:
			panic(fmt.Sprintf("an argument of type %T", v)) // see stmt.bind
		}
	}
	r.record = b
}

// fits reports whether the record can be appended. Otherwise SQLite has to commit it.
func (r *redoLog) fits() bool { return r.tail+blocks(len(r.record)) <= r.bound }

// append writes the record, which is on disk once the file is synced. After errRedoGrow nothing was written, after
// another error the record may come to life.
func (r *redoLog) append() error {
	if err := r.grow(r.tail + blocks(len(r.record))); err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(r.record[8:], r.next)
	binary.LittleEndian.PutUint32(r.record, uint32(len(r.record)))
	binary.LittleEndian.PutUint32(r.record[4:], crc32.Checksum(r.record[8:], castagnoli))
	if err := r.write(r.record, r.tail); err != nil {
		return fmt.Errorf("write the redo log: %w", err)
	}
	r.tail += blocks(len(r.record))
	r.written = max(r.written, r.tail)
	r.next++
	return nil
}

// errRedoGrow: the file cannot be made longer.
var errRedoGrow = errors.New("the redo log cannot grow")

// grow fills the file with zeros up to where a record is to end, and beyond.
func (r *redoLog) grow(end int64) error {
	for r.sized < end {
		if err := r.write(make([]byte, redoStep), r.sized); err != nil {
			return fmt.Errorf("%w: %w", errRedoGrow, err)
		}
		r.sized += redoStep
	}
	return nil
}

// restart has the next record written to the beginning. All records are in the database file, on disk. With wipe none
// of their bytes stays.
func (r *redoLog) restart(wipe bool) error {
	r.tail = redoStart
	if !wipe {
		return nil
	}
	for zeros := make([]byte, redoStep); r.written > redoStart; {
		from := max(redoStart, r.written-redoStep)
		if err := r.write(zeros[:r.written-from], from); err != nil {
			return fmt.Errorf("wipe the redo log: %w", err)
		}
		r.written = from
	}
	return nil
}

// name writes the header. All records that are there are in the database file, on disk.
func (r *redoLog) name(tag string, statements []string) error {
	body := appendPart(nil, tag)
	for _, s := range statements {
		body = appendPart(body, s)
	}
	header := append(binary.LittleEndian.AppendUint32([]byte(redoMagic), crc32.Checksum(body, castagnoli)), appendPart(nil, body)...)
	if len(header) > redoStart {
		return fmt.Errorf("the header of the redo log has %d bytes, and room for %d", len(header), redoStart)
	}
	header = append(header, make([]byte, redoStart-len(header))...)
	err := r.write(header, 0)
	if errors.Is(err, syscall.EINVAL) { // some file systems only say here that they do not take the flag
		if err = errors.Join(r.file.Close(), r.open(0)); err == nil {
			err = r.write(header, 0)
		}
	}
	if err == nil {
		err = r.restart(true)
	}
	if err != nil {
		return fmt.Errorf("begin the redo log: %w", err)
	}
	r.tag, r.statements, r.sized = tag, statements, max(r.sized, redoStart)
	return r.file.Sync()
}

// read returns the file, and takes tag and statements from its header.
func (r *redoLog) read() ([]byte, error) {
	log, err := os.ReadFile(r.path)
	if err != nil {
		return nil, err
	}
	r.tag, r.statements = "", nil
	const before = len(redoMagic) + 4
	if len(log) < redoStart || string(log[:len(redoMagic)]) != redoMagic {
		return log, nil
	}
	body, _, err := nextPart(log[before:redoStart])
	if damaged := err != nil || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(log[len(redoMagic):]); damaged {
		return log, nil
	}
	var parts []string
	for len(body) > 0 {
		part, rest, err := nextPart(body)
		if err != nil {
			return nil, fmt.Errorf("read the header of %s: %w", r.path, err)
		}
		parts, body = append(parts, string(part)), rest
	}
	r.tag, r.statements = parts[0], parts[1:]
	return log, nil
}

// replay runs the statements of all records that the ledger does not have, in one transaction.
func (r *redoLog) replay(ctx context.Context, c *conn) error {
	row, err := c.row(ctx, "SELECT tag, redo_applied FROM ledger")
	if err != nil {
		return err
	}
	log, err := r.read()
	switch {
	case err != nil:
		return err
	case row == nil:
		row = []driver.Value{"", int64(0)}
	}
	r.next, r.tail, r.sized, r.written = uint64(row[1].(int64))+1, redoStart, blocks(len(log)), blocks(len(log))
	switch {
	case r.tag == "":
		return nil
	case r.tag != text(row, 0) && nextRecord(log[redoStart:], 0) != nil:
		return r.errOther()
	}
	p := &replaying{conn: c, statements: r.statements, compiled: map[uint64]*stmt{}}
	defer p.close()
	for number := uint64(0); r.tail < int64(len(log)); {
		record := nextRecord(log[r.tail:], number)
		if record == nil {
			break
		}
		number = binary.LittleEndian.Uint64(record[8:])
		if number > r.next {
			return orca.Errorf(orca.Precondition, "%s goes on from a later state than that of the database file beside it: "+
				"if that was restored from a backup, remove %s", r.path, r.path)
		}
		if number == r.next {
			if err := p.run(ctx, record[redoHead:]); err != nil {
				return errors.Join(fmt.Errorf("record %d of %s: %w", number, r.path, err), p.rollback(ctx))
			}
			r.next++
		}
		r.tail += blocks(len(record))
	}
	return p.commit(ctx, r.next-1)
}

func (r *redoLog) errOther() error {
	return orca.Errorf(orca.Precondition, "%s has what was written last to another ledger than the one beside it: "+
		"put back the database file that it belongs to, or remove it", r.path)
}

// recover replays before the schema is brought up to date: the statements are those of the version that has run them.
func (r *redoLog) recover(ctx context.Context, path string, fresh bool) (err error) {
	switch log, err := r.read(); {
	case err != nil || r.tag == "" || nextRecord(log[redoStart:], 0) == nil:
		return err
	case fresh:
		return r.errOther()
	}
	c, err := openConn(dsn(path, "mode", "rw", "_pragma", "synchronous(normal)", "_pragma", "secure_delete(on)"))
	if err != nil {
		return err
	}
	return errors.Join(r.replay(ctx, c), c.close())
}

// nextRecord returns the record at the beginning of b, or nil when there is none that comes after the one of the given
// number, or after any when that is 0.
func nextRecord(b []byte, after uint64) []byte {
	if len(b) < redoHead {
		return nil
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size < redoHead || size > len(b) || crc32.Checksum(b[8:size], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil
	}
	if number := binary.LittleEndian.Uint64(b[8:]); after != 0 && number != after+1 {
		return nil
	}
	return b[:size]
}

// replaying is a transaction that is begun with the first statement.
type replaying struct {
	conn       *conn
	statements []string
	compiled   map[uint64]*stmt
	begun      bool
}

func (p *replaying) run(ctx context.Context, record []byte) error {
	if !p.begun {
		if err := p.conn.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		p.begun = true
	}
	for len(record) > 0 {
		number, args, rest, err := cutStatement(record)
		if err != nil {
			return err
		}
		record = rest
		s, err := p.statement(number)
		if err != nil {
			return err
		}
		if err := s.rows(ctx, func([]driver.Value) error { return nil }, args...); err != nil { // some return the row that they write
			return err
		}
	}
	return nil
}

func (p *replaying) statement(number uint64) (*stmt, error) {
	if s, ok := p.compiled[number]; ok {
		return s, nil
	}
	if number >= uint64(len(p.statements)) {
		return nil, fmt.Errorf("statement %d of %d", number, len(p.statements))
	}
	s, err := p.conn.prepare(p.statements[number])
	if err == nil {
		p.compiled[number] = s
	}
	return s, err
}

func (p *replaying) commit(ctx context.Context, last uint64) error {
	if !p.begun {
		return nil
	}
	err := p.conn.exec(ctx, fmt.Sprintf("UPDATE ledger SET redo_applied = %d; COMMIT", last))
	if err != nil {
		return errors.Join(err, p.rollback(ctx))
	}
	return nil
}

func (p *replaying) rollback(ctx context.Context) error {
	if !p.begun {
		return nil
	}
	return p.conn.exec(ctx, "ROLLBACK")
}

func (p *replaying) close() {
	for _, s := range p.compiled {
		_ = s.driver.Close() // its errors are those of its last run
	}
}

// errRecord: a record that is whole cannot be read.
var errRecord = errors.New("it cannot be read")

// cutStatement reads one statement of a record.
func cutStatement(b []byte) (number uint64, args []driver.Value, rest []byte, err error) {
	number, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, nil, errRecord
	}
	count, m := binary.Uvarint(b[n:])
	if b = b[n:]; m <= 0 || count > uint64(len(b)) {
		return 0, nil, nil, errRecord
	}
	b, args = b[m:], make([]driver.Value, count)
	for i := range args {
		if args[i], b, err = cutValue(b); err != nil {
			return 0, nil, nil, err
		}
	}
	return number, args, b, nil
}

func cutValue(b []byte) (driver.Value, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errRecord
	}
	kind, b := b[0], b[1:]
	switch kind {
	case 'n':
		return nil, b, nil
	case 'i':
		if v, n := binary.Varint(b); n > 0 {
			return v, b[n:], nil
		}
	case 'f':
		if len(b) >= 8 {
			return math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:], nil
		}
	case 's':
		if part, rest, err := nextPart(b); err == nil {
			return string(part), rest, nil
		}
	case 'b':
		if part, rest, err := nextPart(b); err == nil {
			return append([]byte{}, part...), rest, nil // empty is not NULL
		}
	}
	return nil, nil, errRecord
}
