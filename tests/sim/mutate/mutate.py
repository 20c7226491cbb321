#!/usr/bin/env python3
"""Rewrites simulated kernels and the device headers so that one compilation holds all their mutants.

mutate.py --kernels kernels_0.cpp ... --out DIR: finds every operator, condition, index, statement
and wait of the kernels and of the headers of templates/gptqc/ that they include in clang's syntax
tree, and puts a call of mutant.h in its place. DIR gets the rewritten sources and mutants.txt, a
line a mutant: id, file, line, function, change, and the source text, with "#2" and so on behind it
where a function has the same text again.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BINARY = {'+': ('add', 2), '*': ('multiply', 2), '&': ('bit_and', 2), '|': ('bit_or', 2),
          '^': ('bit_xor', 2), '-': ('subtract', 1), '/': ('divide', 1), '%': ('modulo', 1),
          '<<': ('shift_left', 1), '>>': ('shift_right', 1), '<': ('less', 1),
          '<=': ('less_equal', 1), '>': ('greater', 1), '>=': ('greater_equal', 1),
          '==': ('equal', 1), '!=': ('not_equal', 1)}
OTHER = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '=='}
CALLED = r'\w+(?=\s*[(<])'  # a function's name
# clang 22 takes a first parameter `T (&x)[shape<a, b>::n][shape<a, b>::m * 4]` for an expression;
# the same in parentheses is as long and parses.
VEXING = ((re.compile(r'(\w+) (\(&\w+\)(?:\[\w+\])*)\[(\w+)<(\w+), (\w+)>::(\w+)\]'),
           r'\1\2[(\3<\4,\5>::\6)]'),
          (re.compile(r'\[(\w+)<(\w+), (\w+)>::(\w+) ([*/]) (\w+)\]'), r'[(\1<\2,\3>::\4\5\6) ]'))


def parse(source, include):
    """The nodes of namespace gptqc and of the kernels, as JSON documents."""
    command = ['clang++-22', '-std=c++20', '-fsyntax-only', '-w', '-ferror-limit=0',
               *(f'-I{path}' for path in include), '-Xclang', '-ast-dump=json', '-Xclang',
               '-ast-dump-filter=gptqc', str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if ' error: ' in line]
    if errors:
        sys.exit('mutate.py: clang does not parse the kernels:\n' + '\n'.join(errors[:10]))
    decoder, at = json.JSONDecoder(), 0
    while at < len(done.stdout):
        document, at = decoder.raw_decode(done.stdout, at)
        Places().annotate(document)
        yield document
        while at < len(done.stdout) and done.stdout[at].isspace():
            at += 1


class Places:
    """Resolves locations: clang prints a file only where it differs from the one printed before."""

    def __init__(self):
        self.file = None

    def annotate(self, node):
        """Gives every node its place, `at`, in the order in which they were printed."""
        for key, value in list(node.items()):
            if key == 'loc' and value:
                self.resolve(value)
            elif key == 'range':
                begin = self.resolve(value['begin']) if value.get('begin') else (None, None, 0)
                end = self.resolve(value['end']) if value.get('end') else (None, None, 0)
                if begin[0] == end[0] and begin[1] is not None and end[1] is not None:
                    node['at'] = (begin[1], end[1] + end[2])
                    node['file'] = begin[0]
            elif isinstance(value, dict):
                self.annotate(value)
            elif isinstance(value, list):
                for child in value:
                    if isinstance(child, dict):
                        self.annotate(child)

    def resolve(self, location):
        if 'spellingLoc' in location:
            self.resolve(location['spellingLoc'])
            return self.resolve(location['expansionLoc'])
        self.file = location.get('file', self.file)
        return self.file, location.get('offset'), location.get('tokLen', 0)


class Site:
    def __init__(self, begin, end, depth):
        self.begin, self.end, self.depth = begin, end, depth
        self.inserts = []  # (position, text) in nesting order: prefixes, then suffixes
        self.replace = None  # (begin, end, text) of an operator
        self.changes = []  # of its mutants, in the order of their ids
        self.function = ''


class Finder:
    """Collects the sites of one file."""

    def __init__(self, file, text, ptx):
        self.file, self.text, self.ptx = file, text, ptx
        self.sites = {}
        self.function = ''

    def source(self, node):
        return self.text[node['at'][0]:node['at'][1]]

    def usable(self, node):
        """Whether the node is whole text of the file: not a part of a macro."""
        if node.get('file') != self.file or node['at'][0] >= node['at'][1]:
            return False
        text = self.source(node)
        return all(text.count(a) == text.count(b) for a, b in ('()', '[]', '{}'))

    def site(self, node, depth, role):
        if not self.usable(node):
            return None
        key = (*node['at'], role)
        if key in self.sites:
            return None  # the same text in an instantiation
        site = Site(*node['at'], depth)
        site.function = self.function
        self.sites[key] = site
        return site

    def wrap(self, node, depth, role, call, changes, tail=''):
        site = self.site(node, depth, role)
        if site:
            site.inserts = [f'gptqc::mutant::{call}(@, ', f'{tail})']
            site.changes = changes

    def walk(self, node, depth=0, statement=False):
        kind, inner = node.get('kind', ''), [n for n in node.get('inner', []) if n]
        if node.get('isImplicit') or kind in ('StaticAssertDecl', 'TypeAliasDecl', 'TemplateArgument') or \
                node.get('constexpr') and kind == 'VarDecl':
            return
        before = self.function
        if kind in ('FunctionDecl', 'CXXMethodDecl', 'CXXConstructorDecl'):
            self.function = node.get('name', before)
        self.visit(node, kind, inner, depth, statement)
        block = kind in ('CompoundStmt', 'ForStmt', 'IfStmt', 'WhileStmt')
        for number, child in enumerate(inner):
            if number == 0 and node.get('isConstexpr') and kind == 'IfStmt':
                continue  # decided when the kernel is compiled
            # Of an if or a loop the body is a statement, of a block every child.
            body = kind == 'CompoundStmt' or (
                block and number == len(inner) - 1) or (kind == 'IfStmt' and number > 0)
            self.walk(child, depth + 1, body)
        self.function = before

    def visit(self, node, kind, inner, depth, statement):
        opcode = node.get('opcode')
        if kind == 'BinaryOperator' and opcode in BINARY:
            self.binary(node, opcode, inner, depth)
        elif kind == 'BinaryOperator' and opcode in ('&&', '||'):
            neutral = 'true' if opcode == '&&' else 'false'
            for operand in inner:
                self.wrap(operand, depth + 0.5, 'neutral', 'neutral', [f'operand of {opcode} left out'],
                          f', {neutral}')
        elif kind in ('IfStmt', 'ConditionalOperator') and not node.get('isConstexpr') and inner:
            self.wrap(inner[0], depth + 0.5, 'condition', 'condition',
                      ['condition true', 'condition false'])
        elif kind in ('ForStmt', 'WhileStmt'):
            condition = inner[1] if kind == 'ForStmt' and len(inner) == 4 else inner[0]
            if condition.get('kind', '').endswith(('Operator', 'Expr')):
                self.wrap(condition, depth + 0.5, 'loop', 'loop', ['loop left out'])
        elif kind == 'ArraySubscriptExpr' and len(inner) == 2:
            self.wrap(inner[1], depth + 0.5, 'index', 'index', ['neighbouring index'])
        if kind in ('CallExpr', 'CXXMemberCallExpr'):
            self.call(node, inner, depth)
        assigns = kind == 'CompoundAssignOperator' or (kind == 'BinaryOperator' and opcode == '=')
        if statement and (assigns or kind in ('CallExpr', 'CXXMemberCallExpr', 'CXXOperatorCallExpr')
                          or (kind == 'BinaryOperator' and opcode == ',')):
            self.statement(node, depth)

    def binary(self, node, opcode, inner, depth):
        name, count = BINARY[opcode]
        if len(inner) != 2 or not all(map(self.usable, inner)):
            return
        if opcode == '+' and inner[1].get('value') == '0':
            return
        begin, end = inner[0]['at'][1], inner[1]['at'][0]
        between = self.text[begin:end]
        site = self.site(node, depth, 'binary') if between.count(opcode) == 1 else None
        if not site:
            return
        at = begin + between.index(opcode)
        site.inserts = [f'gptqc::mutant::{name}(@, ', ')']
        site.replace = (at, at + len(opcode), ',')
        if opcode in OTHER:
            site.changes = [f'{opcode} becomes {OTHER[opcode]}']
        else:
            site.changes = [f'right operand of {opcode} left out', f'left operand of {opcode} left out'][:count]

    def statement(self, node, depth):
        text = self.source(node) if self.usable(node) else ''
        site = self.site(node, depth - 0.5, 'statement')
        if not site:
            return
        wait = re.match(r'(\w*wait\w*)<(.+)>\(\)$', text, re.S)
        site.inserts = ['(gptqc::mutant::keep(@) ? (void)(', ') : (void)0)']
        name = re.match(CALLED, text)
        instruction = name and name[0] in self.ptx
        site.changes = ['instruction left out' if instruction else 'statement left out']
        if wait:
            laxer = f'{wait[1]}<({wait[2]}) + 1>()'
            site.inserts = ['(!gptqc::mutant::keep(@) ? (void)0 : gptqc::mutant::laxer(@ + 1) ? (void)'
                            f'{laxer} : (void)(', '))']
            site.changes.append('waits for one group less')

    def call(self, node, inner, depth):
        """Integer arguments of the instructions."""
        name = re.match(CALLED, self.source(node)) if self.usable(node) else None
        if name and name[0] in self.ptx:
            for argument in inner[1:]:
                if argument.get('kind') not in ('CXXDefaultArgExpr', 'StringLiteral', 'InitListExpr'):
                    self.wrap(argument, depth + 0.5, 'argument', 'argument', ['lowest bit flipped'])


def rewrite(text, sites, first_id, table, name):
    """The text with all sites in place; their mutants get ids from first_id on."""
    edits = []  # (position, order, text, characters replaced)
    number = first_id
    seen = collections.Counter()
    for site in sorted(sites, key=lambda s: (s.begin, s.depth)):
        prefix, suffix = (part.replace('@', str(number)) for part in site.inserts)
        edits.append((site.begin, (1, site.depth), prefix, 0))
        edits.append((site.end, (0, -site.depth), suffix, 0))
        if site.replace:
            edits.append((site.replace[0], (2, 0), site.replace[2], site.replace[1] - site.replace[0]))
        line = text.count('\n', 0, site.begin) + 1
        shown = ' '.join(text[site.begin:site.end].split())[:160]
        for offset, change in enumerate(site.changes):
            seen[site.function, change, shown] += 1
            again = seen[site.function, change, shown]
            table.append('\t'.join([str(number + offset), name, str(line), site.function, change,
                                    f'{shown} #{again}' if again > 1 else shown]))
        number += len(site.changes)
    result, at = [], 0
    for position, _, new, length in sorted(edits, key=lambda e: (e[0], e[1])):
        result += [text[at:position], new]
        at = position + length
    return ''.join(result) + text[at:], number


def instructions():
    """Names of the functions in ptx/, but those that compute in registers."""
    names = set()
    for header in sorted((ROOT / 'templates/gptqc/ptx').glob('*.cuh')):
        if header.stem not in ('half2', 'lop3', 'pack', 'mma'):
            names.update(re.findall(r'(?:GPTQC_DEVICE|__forceinline__) \w+ (\w+)\(', header.read_text()))
    return names


def included(sources):
    """The headers of templates/gptqc/ that the sources include, and those that these do."""
    found, waiting = set(), list(sources)
    while waiting:
        for name in re.findall(r'#include "gptqc/(\w+\.cuh)"', waiting.pop().read_text()):
            header = ROOT / 'templates/gptqc' / name
            if header not in found:
                found.add(header)
                waiting.append(header)
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kernels', nargs='+', required=True, type=pathlib.Path)
    parser.add_argument('--out', required=True, type=pathlib.Path)
    options = parser.parse_args()
    parsed = options.out / 'parsed'
    mutated = options.out / 'mutated'
    for folder in (parsed / 'gptqc', mutated / 'gptqc'):
        folder.mkdir(parents=True, exist_ok=True)
    include = [HERE.parent / 'host', parsed, ROOT / 'templates', ROOT]

    headers = included(options.kernels)
    for header in headers:
        text = header.read_text()
        for pattern, parsing in VEXING:
            text = pattern.sub(parsing, text)
        (parsed / 'gptqc' / header.name).write_text(text)
    index = parsed / 'index.cpp'
    index.write_text('#define GPTQC_SIM_ARCH 900\n#include "tests/sim/host/cuda_host.h"\n' +
                     ''.join(f'#include "gptqc/{header.name}"\n' for header in headers))
    ptx, table, number = instructions(), [], 0
    documents = list(parse(index, include))
    jobs = [(str(parsed / 'gptqc' / h.name), h, mutated / 'gptqc' / h.name, documents)
            for h in headers]
    for kernel in options.kernels:
        copy = parsed / kernel.name
        copy.write_text(kernel.read_text())
        jobs.append((str(copy), kernel, mutated / kernel.name, None))
    for file, original, target, trees in jobs:
        text = original.read_text()
        finder = Finder(file, text, ptx)
        for document in trees or parse(file, include):
            finder.walk(document)
        sites = list(finder.sites.values())
        new, number = rewrite(text, sites, number, table, original.name)
        if original.suffix == '.cpp':
            new = f'#include "tests/sim/mutate/mutant.h"\n{new}'
        target.write_text(new)
    (options.out / 'mutants.txt').write_text('\n'.join(table) + '\n')
    print(f'{number} mutants in {len(jobs)} files')


if __name__ == '__main__':
    main()
