// The second opinion of tests/oracle_go.rs: judges notes, proofs and tiles with Go's own sumdb packages, which share
// no line with the recorder. One JSON question a line on stdin, one JSON answer a line on stdout.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Kind  string // note, cosigned, record, tree, tiles, proof
	Key   string
	Text  string
	Path  [][]byte
	Size  int64
	Root  []byte
	Old   int64
	Older []byte
	Index int64
	Leaf  []byte // its hash
	Store string
}

type answer struct {
	Holds bool
	Why   string
	Path  [][]byte
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		var a answer
		err := json.Unmarshal(lines.Bytes(), &q)
		if err == nil {
			a.Path, err = judge(q)
		}
		a.Holds = err == nil
		if err != nil {
			a.Why = err.Error()
		}
		if err := out.Encode(a); err != nil {
			panic(err)
		}
	}
}

func judge(q question) ([][]byte, error) {
	switch q.Kind {
	case "note":
		_, err := open(q.Text, q.Key)
		return nil, err
	case "cosigned":
		return nil, cosigned(q.Text, q.Key)
	case "record":
		return nil, tlog.CheckRecord(hashes(q.Path), q.Size, hash(q.Root), q.Index, hash(q.Leaf))
	case "tree":
		return nil, tlog.CheckTree(hashes(q.Path), q.Size, hash(q.Root), q.Old, hash(q.Older))
	case "tiles":
		return tiles(q)
	case "proof":
		return nil, proof(q.Text, q.Key)
	}
	return nil, errors.New("no such question")
}

// open gives the three lines of a checkpoint, once its signature holds.
func open(text, key string) ([]string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) != 3 || lines[0] != verifier.Name() {
		return nil, errors.New("not a checkpoint of this key's log")
	}
	return lines, nil
}

// A witness's key as C2SP tlog-cosignature has it, which sumdb does not know.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string { return w.name }

func (w witness) KeyHash() uint32 { return w.id }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(w.key, []byte(signed), signature[8:])
}

// cosigned checks that the witness with that key cosigned the note.
func cosigned(text, key string) error {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) != 3 {
		return errors.New("not a key")
	}
	bytes, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(bytes) != 1+ed25519.PublicKeySize || bytes[0] != 4 {
		return errors.New("not the key of a witness")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), bytes...))
	id := binary.BigEndian.Uint32(sum[:])
	if parts[1] != fmt.Sprintf("%08x", id) {
		return errors.New("not the id of the key")
	}
	_, err = note.Open([]byte(text), note.VerifierList(witness{parts[0], id, bytes[1:]}))
	return err
}

// tiles proves that a leaf is in the tree with nothing but the tiles in a folder, and gives the path.
func tiles(q question) ([][]byte, error) {
	reader := tlog.TileHashReader(tlog.Tree{N: q.Size, Hash: hash(q.Root)}, folder(q.Store))
	root, err := tlog.TreeHash(q.Size, reader)
	if err != nil {
		return nil, err
	}
	if root != hash(q.Root) {
		return nil, errors.New("another root")
	}
	path, err := tlog.ProveRecord(q.Size, q.Index, reader)
	if err != nil {
		return nil, err
	}
	// The reader of x/mod 0.7 leaves tiles unchecked where the tree has several peaks in one tile.
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, q.Index)})
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(path, q.Size, root, q.Index, leaf[0]); err != nil {
		return nil, err
	}
	var bytes [][]byte
	for _, hash := range path {
		bytes = append(bytes, append([]byte(nil), hash[:]...))
	}
	return bytes, nil
}

// A folder with tiles of height 8, named as C2SP has it: without the height.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(string(f), name))
		if err != nil {
			return nil, err
		}
		read = append(read, bytes)
	}
	return read, nil
}

// proof checks the proof of an event as docs/format.md describes it.
func proof(text, key string) error {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	extra, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path []tlog.Hash
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	signed, err := open(checkpoint, key)
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(signed[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(signed[2])
	if err != nil {
		return err
	}
	if len(extra) < 208 || string(extra[:5]) != "KRP1\x01" || extra[6] != 0 || extra[7] != 0 {
		return errors.New("not the extra of an event")
	}
	place := binary.LittleEndian.Uint32(extra[8:])
	length := int(binary.LittleEndian.Uint32(extra[12:]))
	leaf := extra[16:208]
	begin := 208 + 32*int(extra[5])
	if begin+length != len(extra) {
		return errors.New("the extra has another length")
	}
	var inner []tlog.Hash
	for at := 208; at < begin; at += 32 {
		inner = append(inner, hash(extra[at:at+32]))
	}
	count := int64(binary.LittleEndian.Uint32(leaf[28:]))
	line := extra[begin:]
	if err := tlog.CheckRecord(inner, count, hash(leaf[96:128]), int64(place), tlog.RecordHash(line)); err != nil {
		return fmt.Errorf("the event: %w", err)
	}
	if frame := int64(binary.LittleEndian.Uint64(leaf[12:])); frame != index {
		return errors.New("another frame")
	}
	return tlog.CheckRecord(path, size, root, index, tlog.RecordHash(leaf))
}

func hashes(list [][]byte) []tlog.Hash {
	var made []tlog.Hash
	for _, bytes := range list {
		made = append(made, hash(bytes))
	}
	return made
}

func hash(bytes []byte) (made tlog.Hash) {
	copy(made[:], bytes)
	return made
}
