# Runs of signs add up to what really was: whoever tells of them, in whatever order, and however often.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(max min shuffle sum0);
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $zero = $script->now - 10_000_000;
my $sites = 0;

sub site { return { site => 'runs-' . ++$sites, shards => 1, timeout => 90_000, gap => 45_000, @_ } }

# The entries as batches of their own, and what is then known of the session.
sub after {
    my ($site, @entries) = @_;
    my $host = $script->other("host-$sites");
    for (@entries) { is_deeply($host->add($site, $_), [ 1, '', 0, '' ], 'applied') }
    return $host->session($site, 'a');
}

sub run { my ($from, $to, %o) = @_; return entry('a', $zero + $from, $zero + $to, %o) }
sub active { my ($from, $to) = @_; return run($from, $to, active_from => $zero + $from, active_to => $zero + $to) }

subtest 'two that touch are one' => sub {
    for my $gap (0, 1, 89_999, 90_000) {
        is(after(site(), run(0, 1000), run(1000 + $gap, 5000 + $gap))->{open_ms}, 5000 + $gap, "$gap ms apart");
        is(after(site(), run(1000 + $gap, 5000 + $gap), run(0, 1000))->{open_ms}, 5000 + $gap, 'the other way round');
    }
    is(after(site(), run(0, 1000), run(91_001, 92_000))->{open_ms}, 1999, 'farther apart they are two');
    is(after(site(), run(91_001, 92_000), run(0, 1000))->{open_ms}, 1999, 'the other way round');
};

subtest 'activity has a gap of its own' => sub {
    for my $order (0, 1) {
        my @near = (active(0, 1000), active(46_000, 50_000));
        my $s = after(site(), $order ? reverse @near : @near);
        is_deeply([ @$s{qw(open_ms active_ms)} ], [ 50_000, 50_000 ], 'up to the gap');
        my @far = (active(0, 1000), active(46_001, 50_000));
        $s = after(site(), $order ? reverse @far : @far);
        is_deeply([ @$s{qw(open_ms active_ms active_from last_active)} ], [ 50_000, 4999, $zero + 46_001, $zero + 50_000 ], 'beyond it');
    }
};

subtest 'what lies in what is known' => sub {
    for my $inner ([ 2000, 3000 ], [ 1000, 9000 ], [ 1000, 1000 ], [ 9000, 9000 ], [ 5000, 5000 ]) {
        my $s = after(site(), run(1000, 9000), run(@$inner));
        is_deeply([ @$s{qw(open_ms open_from last first)} ], [ 8000, $zero + 1000, $zero + 9000, $zero + 1000 ], "from @$inner");
    }
    my $s = after(site(), run(4000, 5000), run(1000, 9000));
    is_deeply([ @$s{qw(open_ms open_from last first)} ], [ 8000, $zero + 1000, $zero + 9000, $zero + 1000 ], 'and what reaches beyond it on both sides');
};

subtest 'one that closes the gaps of many' => sub {
    my @runs = map { run($_ * 200_000, $_ * 200_000 + 1000) } 0 .. 9;
    my $s = after(site(), shuffle(@runs), run(0, 1_801_000));
    is_deeply([ @$s{qw(open_ms open_from last)} ], [ 1_801_000, $zero, $zero + 1_801_000 ], 'all of it once');
    $s = after(site(), shuffle(@runs), run(500, 500), run(1_800_500, 1_800_500));
    is($s->{open_ms}, 10_000, 'without it, only the pieces');
    $s = after(site(), shuffle(@runs), run(410_000, 790_000));
    is($s->{open_ms}, 5 * 1000 + 5 * 1000 + 800_000 - 400_000 - 2000, 'some of them');
};

subtest 'the first sign of all is the first, whenever it is told' => sub {
    is(after(site(), run(500_000, 500_000), run(0, 0), run(250_000, 250_000))->{first}, $zero, 'the earliest');
    is(after(site(), run(1000, 1000), run(900, 2000), run(950, 3000))->{first}, $zero + 1000, 'as exactly as the clock can be asked for');
    is(after(site(), run(1000, 1000), run(899, 2000))->{first}, $zero + 899, 'and no less');
};

# Only so many earlier runs are kept. What is older than those is not counted any more: never too much.
subtest 'sixteen runs' => sub {
    my $site = site();
    my $host = $script->other('sixteen');
    my @runs = map { run($_ * 100_000, $_ * 100_000 + 1000) } 0 .. 39;
    $host->add($site, $_) for @runs;
    my $s = $host->session($site, 'a');
    is($s->{open_ms}, 40_000, 'in their order all count');
    my ($floor, @earlier) = split ' ', $s->{open_earlier};
    is(scalar @earlier, 15, 'fifteen are kept besides the latest');
    is($floor, $zero + 24 * 100_000 - 100_000 + 1000, 'below them is the floor');
    $host->add($site, $_) for shuffle(@runs);
    is($host->session($site, 'a')->{open_ms}, 40_000, 'again: nothing counts twice');
    $host->add($site, run(5000, 6000));
    is($host->session($site, 'a')->{open_ms}, 40_000, 'below the floor nothing counts');
    $host->add($site, run(0, 39 * 100_000));
    is($host->session($site, 'a')->{open_ms}, 40_000 + 15 * 99_000 + 99_000, 'of what reaches below, what lies above');
    cmp_ok(length $s->{open_earlier}, '<', 500, 'short');

    my $shuffled = site();
    $host->add($shuffled, $_) for shuffle(@runs);
    cmp_ok($host->session($shuffled, 'a')->{open_ms}, '<=', 40_000, 'in any order, never too much');
    cmp_ok($host->session($shuffled, 'a')->{open_ms}, '>=', 16_000, 'and not too little');
};

# --- at random ---

my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
srand $seed;
note "HEARTBEAT_SEED=$seed";

# Points in time as runs of neighbours that are at most a gap apart.
sub merged {
    my ($gap, @points) = @_;
    my @runs;
    for (sort { $a <=> $b } @points) {
        if (@runs && $_ - $runs[-1][1] <= $gap) { $runs[-1][1] = $_ }
        else { push @runs, [ $_, $_ ] }
    }
    return @runs;
}
sub total { return sum0 map { $_->[1] - $_->[0] } merged(@_) }

# What one host says of its own points: stretches of its own runs, so that each point is told at least once, and some
# more often. Answers [from, to] pairs of points.
sub told {
    my ($gap, @points) = @_;
    my @all;
    for my $run (merged($gap, @points)) {
        my @own = sort { $a <=> $b } grep { $_ >= $run->[0] && $_ <= $run->[1] } @points;
        my $start = 0;
        for my $i (0 .. $#own) {
            next if $i < $#own && rand() < 0.6;
            push @all, [ $own[$start], $own[$i] ];    # as the table tells it: from the start of the run on
            push @all, [ $own[ int rand($i + 1) ], $own[$i] ] if rand() < 0.2;
            $start = $i + (rand() < 0.3 && $i < $#own ? 1 : 0) if rand() < 0.3;
            push @all, [ $own[$start], $own[$start] ] if $start > $i;
        }
        push @all, [ $_, $_ ] for grep { my $p = $_; !grep { $_->[0] <= $p && $p <= $_->[1] } @all } @own;
    }
    return @all;
}

# A case: users with sessions, points spread over hosts, told in batches in any order, some of them twice.
sub make_case {
    my ($number) = @_;
    my %case = (timeout => 10 + int rand 30, shards => rand() < 0.5 ? 1 : 7, number => $number);
    $case{gap} = 1 + int rand $case{timeout};
    my $base = $zero + $number * 100_000;
    my $span = 20 + int rand 400;
    for my $id (map {"s$_"} 1 .. 1 + rand 3) {
        my $user = rand() < 0.7 ? 'u' . int rand 2 : '';
        my @points = map { $base + int rand $span } 1 .. 1 + rand 12;
        my @active = grep { rand() < 0.5 } @points;
        $case{sessions}{$id} = { user => $user, points => \@points, active => \@active };
        my $hosts = 1 + int rand 3;
        for my $host (0 .. $hosts - 1) {
            my @own = grep { rand() < 0.5 || $hosts == 1 || ($_ % $hosts) == $host } @points;
            my %is_active = map { $_ => 1 } @active;
            my @active_runs = told($case{gap}, grep { $is_active{$_} } @own);
            for my $pair (told($case{timeout}, @own)) {
                my ($known) = grep { $_->[1] <= $pair->[1] } @active_runs;
                @active_runs = grep { !$known || $_ != $known } @active_runs;
                push @{ $case{entries} }, entry($id, @$pair, user => $user, beats => 0, $known ? (active_from => $known->[0], active_to => $known->[1]) : ());
            }
            # Activity that is left is told with the lone sign that it is, too.
            push @{ $case{entries} }, map { entry($id, $_->[1], $_->[1], user => $user, beats => 0, active_from => $_->[0], active_to => $_->[1]) } @active_runs;
        }
    }
    return \%case;
}

sub commands_of {
    my ($case) = @_;
    my %group = (site => "case-$case->{number}", map { $_ => $case->{$_} } qw(shards timeout gap));
    my @entries = shuffle(@{ $case->{entries} }, grep { rand() < 0.2 } @{ $case->{entries} });
    my @commands;
    while (my @some = splice @entries, 0, 1 + rand 4) {
        # Entries of one session come in the order of time within a batch.
        push @commands, [ $script->next_batch({ %group, entries => [ sort { $a->{id} cmp $b->{id} || $a->{to} <=> $b->{to} } @some ] }) ];
    }
    return @commands;
}

my $cases = $ENV{HEARTBEAT_CASES} // 3000;
subtest "$cases cases at random" => sub {
    my ($wrong, $batches, $done) = (0, 0, 0);
    while ($done < $cases) {
        my @cases = map { make_case(++$done) } 1 .. min(250, $cases - $done);
        my @commands = map { commands_of($_) } @cases;
        $batches += @commands;
        my @answers = $redis->client->pipeline(@commands);
        my @bad = grep { !$_ || "@$_" ne '1  0 ' } @answers;
        is(scalar @bad, 0, 'all applied') or diag explain $bad[0];
        my (@asked, @what);
        for my $case (@cases) {
            my $site = "case-$case->{number}";
            my (%open_of, %active_of);
            for my $id (sort keys %{ $case->{sessions} }) {
                my $s = $case->{sessions}{$id};
                push @asked, [ 'HMGET', tag($site, $case->{shards}, $id) . "session:$id", 'open_ms', 'active_ms', 'last', 'state' ];
                push @what, [ $case, $id, total($case->{timeout}, @{ $s->{points} }), @{ $s->{active} } ? total($case->{gap}, @{ $s->{active} }) : undef, reverse @{ (merged($case->{timeout}, @{ $s->{points} }))[-1] } ];
                push @{ $open_of{ $s->{user} } }, @{ $s->{points} };
                push @{ $active_of{ $s->{user} } }, @{ $s->{active} };
            }
            for my $user (grep { $_ ne '' } sort keys %open_of) {
                for ([ open => timeout => \%open_of ], [ active => gap => \%active_of ]) {
                    my ($kind, $gap, $points) = @$_;
                    my %days = map { day_of($_) => 1 } @{ $points->{$user} };
                    my $total = total($case->{$gap}, @{ $points->{$user} });
                    my @days = sort keys %days;
                    next if @days != 1;    # over midnight: see the test of days
                    push @asked, [ 'ZMSCORE', tag($site, $case->{shards}, $user) . "$kind:$days[0]", $user ];
                    push @what, [ $case, "$kind of $user", $total || undef ];
                }
            }
        }
        my @got = $redis->client->pipeline(@asked);
        for my $i (0 .. $#got) {
            my ($case, $name, @expected) = @{ $what[$i] };
            my @seen = @{ $got[$i] // [] };
            $seen[3] = unpack 'Q>', "\0\0" . substr $seen[3], 7, 6 if @seen == 4;    # where the latest run began
            next if join(' ', map { $_ // '-' } @seen) eq join(' ', map { $_ // '-' } @expected);
            fail("case $case->{number}: $name: expected @{[map { $_ // '-' } @expected]}, got @{[map { $_ // '-' } @seen]}") if $wrong++ < 3;
        }
        $script->call('FLUSHDB');
        $script->{number} = $script->{applied} = 0;
    }
    is($wrong, 0, "$batches batches: every sum is right");
};

sub day_of { my @t = gmtime int($_[0] / 1000); return sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3] }

done_testing;
