# The scripts of the flusher, called with batches made by hand, on a real Redis.
package Heartbeat::Scripts;
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use Exporter 'import';
use FindBin;
use Time::HiRes qw(time);

our @EXPORT = qw(KEEP LEFT USER DAY tag entry delivered batch);
use constant { KEEP => 8, LEFT => 16, USER => 32, DAY => 86_400_000 };
use constant { ONLINE => 1, ASIDE => 2, NAMED => 4 };    # flags of a session's state
my %SOURCES = (ping => 0, page => 1, request => 2, beat => 3, beacon => 4);

# redis (required), prefix => WORD, host => NAME, calm => 0 while other hosts may still be sending what they kept.
sub new {
    my ($class, %o) = @_;
    my $self = bless { prefix => 'hb', host => 'host', number => 0, applied => 0, calm => 1, %o }, $class;
    $self->{sha}{$_} = $self->call('SCRIPT', 'LOAD', text($_)) for qw(flush sweep beacons views view);
    return $self;
}

# As shared/embed.sh puts it together.
sub text {
    my ($name) = @_;
    return join '', map {
        open my $file, '<:raw', "$FindBin::Bin/../../shared/redis/$_.lua" or die "$_: $!";
        local $/;
        <$file>;
    } $name eq 'view' ? () : 'presence', $name =~ /^(?:beacons|views)$/ ? 'delivery' : (), $name;
}

sub call { my ($self, @words) = @_; return $self->{redis}->call(@words) }

# Another host of the same Redis.
sub other { my ($self, $host, %o) = @_; return bless { %$self, host => $host, number => 0, applied => 0, %o }, ref $self }

# Milliseconds by the clock of Redis.
sub now {
    my ($self) = @_;
    my ($s, $us) = @{ $self->call('TIME') };
    return $s * 1000 + int($us / 1000);
}

# The start of the keys of a site's part that has this name.
sub tag {
    my ($site, $shards, $name) = @_;
    return "hb:{$site}:" if $shards == 1;
    return "hb:{$site/" . hex(substr sha1_hex($name), 0, 8) % $shards . '}:';
}

# One entry: id, start and end of a run, and what else there is to say: fresh (the first sign that was in no batch before),
# active_from and active_to, beats, source, bits, user, page.
sub entry {
    my ($id, $from, $to, %o) = @_;
    return { id => $id, from => $from, to => $to, fresh => $from, beats => 1, source => 'ping', bits => 0, user => '', page => '', %o };
}

sub unsigned { my ($bytes, $value) = @_; return substr pack('Q>', $value), -$bytes }

sub tells { my ($e) = @_; return $e->{user} ne '' || $e->{page} ne '' }

# The numbers of an entry, said by a host that knows of its user or does not; `stays`: ms from its end to when the session is offline; `told`: the how manieth it is that tells.
sub numbers {
    my ($e, $stays, $told) = @_;
    my @activity = defined $e->{active_to} ? ($e->{to} - $e->{active_to}, $e->{active_to} - $e->{active_from}) : (4294967295, 0);
    return join '', unsigned(6, $e->{to}),
        map({ unsigned(4, $_) } $stays, $e->{to} - $e->{from}, $e->{to} - $e->{fresh}, @activity, $e->{beats}),
        unsigned(1, $SOURCES{ $e->{source} } + ($e->{bits} | (rand() < 0.5 ? USER : 0))), unsigned(2, $told);
}

# The words of a group: site => NAME, shards, retention, timeout, gap, grace, entries => [...].
sub group_words {
    my (%o) = (shards => 1, retention => 7 * DAY, timeout => 90_000, gap => 45_000, grace => 5000, @_);
    my $grace = $o{grace} < $o{timeout} ? $o{grace} : $o{timeout};
    my @entries = @{ $o{entries} };
    my $told = 0;
    my $numbers = join '', map { numbers($_, $_->{bits} & LEFT ? $grace : $o{timeout}, tells($_) ? ++$told : 0) } @entries;
    return (@o{qw(site shards retention timeout gap)}, scalar @entries, $numbers, $told, map({ @$_{qw(to id)} } @entries),
        map { @$_{qw(user page)} } grep { tells($_) } @entries);
}

sub batch_words {
    my ($self, $number, $applied, @groups) = @_;
    return ('EVALSHA', $self->{sha}{flush}, 2, "$self->{prefix}:node:$self->{host}", "$self->{prefix}:sites", $number, $applied,
        '1.0', 600_000, $self->{prefix}, $self->{calm}, map { group_words(%$_) } @groups);
}

# The command of the next batch of this host.
sub next_batch {
    my ($self, @groups) = @_;
    my @words = $self->batch_words(++$self->{number}, $self->{applied}, @groups);
    $self->{applied} = $self->{number};
    return @words;
}

# Sends the next batch. Its answer: applied, failed, lost, why.
sub flush { my ($self, @groups) = @_; return $self->call($self->next_batch(@groups)) }
# The same for one group.
sub add { my ($self, $group, @entries) = @_; return $self->flush({ %$group, entries => \@entries }) }

# Answers how many sessions were taken, and why not all is told. slack, budget, at => what time the host believes it is.
sub sweep {
    my ($self, %o) = @_;
    return $self->call('EVALSHA', $self->{sha}{sweep}, 1, "$self->{prefix}:sites", $self->{prefix}, $o{slack} // 0, $o{at} // $self->now,
        $o{budget} // 100);
}

sub unpack_numbers {
    my ($text, @bytes) = @_;
    return map { my $number = substr $text, 0, $_, ''; unpack 'Q>', "\0" x (8 - $_) . $number } @bytes;
}

# The fields of a session, with what its state says in place of that: open_from, active_from, due. `odd` is where the
# state and the fields that people read do not say the same.
sub session {
    my ($self, $group, $id) = @_;
    my %s = @{ $self->call('HGETALL', tag($group->{site}, $group->{shards} // 1, $id) . "session:$id") };
    my $state = delete $s{state} // return \%s;
    return { %s, odd => length($state) . ' bytes' } if length $state != 53;
    my ($flags, %in);
    ($flags, @in{qw(last open_from last_active active_from due open_ms active_ms beats named)}) = unpack_numbers($state, 1, (6) x 7, 4, 6);
    my @odd = grep { ($s{$_} // 0) ne $in{$_} } qw(last last_active open_ms active_ms beats);
    my $source = (undef, qw(ping page request beat beacon))[ int($flags / 8) ];    # not known of a late sign alone
    push @odd, "flags $flags, source " . ($s{source} // 'none') if defined $source && $source ne ($s{source} // '');
    push @odd, 'flags ' . $flags if $flags % 8 != ($in{due} && ONLINE) + (exists $s{pending} && ASIDE) + (exists $s{user} && NAMED);
    $s{odd} = "@odd" if @odd;
    return { %s, map { $in{$_} ? ($_ => $in{$_}) : () } qw(open_from active_from due named) };
}

# The same of a user.
sub user {
    my ($self, $group, $user) = @_;
    my %u = @{ $self->call('HGETALL', tag($group->{site}, $group->{shards} // 1, $user) . "user:$user") };
    my $state = delete $u{state} // return \%u;
    my %in;
    @in{qw(open_from open_to active_from active_to)} = unpack_numbers($state, (6) x 4, (4) x 3);
    return { %u, map { $in{$_} ? ($_ => $in{$_}) : () } keys %in };
}

# How many live sessions a user has.
sub sessions_of {
    my ($self, $group, $user) = @_;
    return $self->call('HGET', tag($group->{site}, $group->{shards} // 1, $user) . 'user', $user);
}

# kind is open or active; day as YYYY-MM-DD.
sub on_day {
    my ($self, $group, $kind, $day, $user) = @_;
    return $self->call('ZSCORE', tag($group->{site}, $group->{shards} // 1, $user) . "$kind:$day", $user);
}

# --- page views ---

# Records of a view: that the script was delivered, and a batch. at, session, family, choice; event, transport, flags, type,
# payload.
sub delivered { my ($view, %o) = @_; return { kind => 'script', view => $view, choice => 'fetchLater', number => '', event => '', transport => '', %o } }
sub batch { my ($view, $number, %o) = @_; return { kind => 'batch', view => $view, number => $number, %o } }

# The command that merges records of one part of a site; those that say no position follow each other, 100 bytes each, behind
# what this server sent before. position => where the window ends, server => another one.
sub beacons_words {
    my ($self, $group, $options, @records) = @_;
    my %g = (shards => 1, retention => 7 * DAY, timeout => 90_000, %$group);
    my $server = $options->{server} // '00000000000000aa';
    my @words;
    for my $record (@records) {
        my %r = (at => $self->now, session => '', family => 'chromium', choice => '', event => 'more', transport => 'fetch', flags => '', type => '', payload => '', %$record);
        $r{position} = $self->{positions}{$server} = $r{position} // ($self->{positions}{$server} // 0) + 100;
        push @words, @r{qw(position at kind view session family choice number event transport flags type payload)};
    }
    my $tag = tag($g{site}, $g{shards}, $records[0]{view});
    return ('EVALSHA', $self->{sha}{beacons}, 1, "${tag}spool", $self->{prefix}, @g{qw(site shards)}, $tag, @g{qw(retention timeout)}, $server,
        $options->{position} // $self->{positions}{$server}, @words);
}

# Merges records; all of one part. Answers 1, how many were new, how many duplicates, why not all is told.
sub merge { my ($self, $group, @records) = @_; return $self->call($self->beacons_words($group, {}, @records)) }

# Looks at the views of all parts. Answers how many, and the first error.
sub give_up {
    my ($self, $group, %o) = @_;
    my %g = (shards => 1, retention => 7 * DAY, timeout => 90_000, %$group);
    my ($looked, $why) = (0, '');
    for my $tag (parts($group)) {
        my $answer = $self->call('EVALSHA', $self->{sha}{views}, 1, "${tag}views", $self->{prefix}, @g{qw(site shards)}, $tag, @g{qw(retention timeout)}, $o{most} // 100);
        $looked += $answer->[0];
        $why ||= $answer->[1];
    }
    return [ $looked, $why ];
}

# A view as the endpoint asks for it: its fields, and its batches by number.
sub view {
    my ($self, $group, $view, %o) = @_;
    my $tag = tag($group->{site}, $group->{shards} // 1, $view);
    my ($words, @rest) = @{ $self->call('EVALSHA', $self->{sha}{view}, 1, "${tag}view:$view", $tag, $view, $o{most} // 786_432) };
    my %fields = splice @rest, 0, $words;
    return { %fields, batch => {@rest}, order => [ @rest[ grep { !($_ % 2) } 0 .. $#rest ] ] };
}

# The entries of the stream of all parts, as hashes.
sub beacons { my ($self, $group) = @_; return map { map { +{ @{ $_->[1] } } } @{ $self->call('XRANGE', "${_}beacons", '-', '+') } } parts($group) }

# The counters of all parts and days together that are not nothing.
sub delivery {
    my ($self, $group) = @_;
    my %sum;
    for my $part (parts($group)) {
        for my $key (@{ $self->call('KEYS', ($part =~ s/([\[\]?*])/\\$1/gr) . 'delivery:*') }) {
            my %day = @{ $self->call('HGETALL', $key) };
            $sum{$_} += $day{$_} for keys %day;
        }
    }
    return { map { $sum{$_} ? ($_ => $sum{$_}) : () } keys %sum };
}

# What happened to views: "view-complete VIEW BATCHES", "view-given-up VIEW BATCHES missing MISSING left LEFT".
sub view_events {
    my ($self, $group) = @_;
    my @all;
    for my $part (parts($group)) {
        for my $entry (@{ $self->call('XRANGE', "${part}events", '-', '+') }) {
            my %e = @{ $entry->[1] };
            next if $e{event} !~ /^view-/;
            push @all, "$e{event} $e{view} $e{batches}" . (defined $e{missing} ? " missing $e{missing} left $e{left}" : '');
        }
    }
    return @all;
}

sub parts {
    my ($group) = @_;
    my $shards = $group->{shards} // 1;
    return $shards == 1 ? "hb:{$group->{site}}:" : map {"hb:{$group->{site}/$_}:"} 0 .. $shards - 1;
}

# The events of all parts of a site, in the order of each part: "online id user" with times relative to `$zero`.
sub events {
    my ($self, $group, $zero) = @_;
    my @all;
    for my $part (parts($group)) {
        for my $entry (@{ $self->call('XRANGE', "${part}events", '-', '+') }) {
            my %e = @{ $entry->[1] };
            push @all, join ' ', $e{event}, grep({defined} @e{qw(id user)}), $e{at} - $zero;
        }
    }
    return @all;
}

# Members of a sorted set of all parts.
sub members {
    my ($self, $group, $set) = @_;
    return { map { @{ $self->call('ZRANGE', $_ . $set, 0, -1, 'WITHSCORES') } } parts($group) };
}

1;
