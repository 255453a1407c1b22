package main

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger makes the process's log: JSON lines with the names of ECS, or text for a console. Warnings and errors that repeat are
// written once and then summed up; see repeats. Sync writes what is not summed up yet.
func newLogger(c LogConfig, w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	out := zapcore.Lock(zapcore.AddSync(w))
	if c.Format == "console" {
		return zap.New(newRepeats(zapcore.NewCore(consoleEncoder(), out, level))), nil
	}
	core := zapcore.NewCore(jsonEncoder(), out, level)
	return zap.New(newRepeats(ecsCore{core})).With(zap.String("ecs.version", "8.17.0"), zap.String("service.name", "klaxon"), zap.String("service.version", readBuildInfo().Version)), nil
}

func jsonEncoder() zapcore.Encoder {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.EncodeTime = "@timestamp", zapcore.RFC3339NanoTimeEncoder
	c.LevelKey, c.MessageKey, c.NameKey, c.CallerKey, c.EncodeDuration = "log.level", "message", "log.logger", "log.origin", zapcore.StringDurationEncoder
	return zapcore.NewJSONEncoder(c)
}

func consoleEncoder() zapcore.Encoder {
	c := zap.NewProductionEncoderConfig()
	c.EncodeLevel, c.EncodeTime = zapcore.CapitalLevelEncoder, zapcore.TimeEncoderOfLayout("15:04:05.000")
	c.EncodeDuration = zapcore.StringDurationEncoder
	return zapcore.NewConsoleEncoder(c)
}

// ecsCore gives fields the names that ECS has for them.
type ecsCore struct{ zapcore.Core }

func (c ecsCore) With(fields []zapcore.Field) zapcore.Core {
	return ecsCore{c.Core.With(ecsFields(fields))}
}

// Write implements zapcore.Core.
func (c ecsCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return c.Core.Write(e, ecsFields(fields))
}

// ecsFields leaves the caller's fields as they are.
func ecsFields(fields []zapcore.Field) []zapcore.Field {
	i := slices.IndexFunc(fields, func(f zapcore.Field) bool { return f.Key == "error" })
	if i < 0 {
		return fields
	}
	fields = slices.Clone(fields)
	fields[i].Key = "error.message"
	return fields
}
